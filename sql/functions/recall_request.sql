create or replace function pgq.recall_request(p_owner text, p_key text, p_fingerprint bytea)
returns table (
    status   integer,
    headers  json,
    body     text
)
language plpgsql
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_request pgq.request;
begin
    perform pgq._hold_request(p_owner, p_key, p_fingerprint);
    select r.*
    into v_request
    from pgq.request r
    where r.owner = p_owner
        and r.key = p_key
        and r.at > now() - interval '24 hours';
    if not found then
        return;
    end if;
    if v_request.fingerprint <> p_fingerprint then
        perform pgq._refuse(
            'PQ010',
            format('the key %L was used for another request', p_key),
            format('It was answered with status %s at %s.', v_request.status, v_request.at),
            'Repeat that request unchanged, or give this one a key of its own.'
        );
    end if;
    return query
    select v_request.status, v_request.headers, v_request.body;
end
$$;
comment on function pgq.recall_request is
    'What a request with this idempotency key was answered; no row when it is new. It and pgq.remember_request belong into the transaction that does the work: the key is held until that ends. PQ007: another transaction has the key. PQ010: the key was used for another request.';
select pgq._allow('recall_request', 'pgq_admin');
