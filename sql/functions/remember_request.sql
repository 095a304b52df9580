create or replace function pgq.remember_request(
    p_owner        text,
    p_key          text,
    p_fingerprint  bytea,
    p_status       integer,
    p_headers      json,
    p_body         text
)
returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform pgq._hold_request(p_owner, p_key, p_fingerprint);
    if coalesce(p_status not between 100 and 599, true) then
        perform pgq._refuse(
            'PQ005',
            'bad status of an answer',
            format('status is %s; expected 100 to 599.', coalesce(p_status::text, 'null')),
            'Correct the call: nothing was remembered.'
        );
    end if;
    insert into pgq.request as r (owner, key, fingerprint, status, headers, body)
    values (p_owner, p_key, p_fingerprint, p_status, coalesce(p_headers, '{}'), p_body)
    on conflict (owner, key) do update
    set fingerprint = excluded.fingerprint,
        status = excluded.status,
        headers = excluded.headers,
        body = excluded.body,
        at = excluded.at
    where r.at <= now() - interval '24 hours';
    if not found then
        perform pgq._refuse(
            'PQ007',
            format('a request with the key %L has been answered', p_key),
            'It was remembered after this one began.',
            'Try again: the answer will be that of the other one.'
        );
    end if;
end
$$;
comment on function pgq.remember_request is
    'Keeps the answer to a request for 24 hours, for pgq.recall_request, which comes first in the same transaction. PQ007: another one with this key was faster.';
select pgq._allow('remember_request', 'pgq_admin');
