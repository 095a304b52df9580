create or replace function pgq.create_token(
    p_name        text,
    p_hash        bytea,
    p_scopes      text[],
    p_queues      text[]    default null,
    p_expires_in  interval  default null
)
returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_scopes  text[] := array['enqueue', 'work', 'view', 'operate', 'admin'];
    v_queue   text;
    v_id      bigint;
begin
    if coalesce(length(p_name) not between 1 and 200, true) then
        perform pgq._refuse(
            'PQ005',
            'bad name of a token',
            format('name is %s; expected 1 to 200 characters.', coalesce(quote_literal(left(p_name, 100)), 'null')),
            'Name who or what is to use it.'
        );
    end if;
    if coalesce(octet_length(p_hash) <> 32, true) then
        perform pgq._refuse(
            'PQ005',
            'bad hash of a token',
            format('hash has %s bytes; expected the 32 of a SHA-256.', coalesce(octet_length(p_hash), 0)),
            'Give the hash of the secret, never the secret.'
        );
    end if;
    if coalesce(cardinality(p_scopes) = 0 or not p_scopes <@ v_scopes, true) then
        perform pgq._refuse(
            'PQ005',
            'bad scopes of a token',
            format('scopes are %s; expected some of %s.',
                   coalesce(quote_literal(left(p_scopes::text, 200)), 'null'), array_to_string(v_scopes, ', ')),
            'Correct the scopes: no token was made.'
        );
    end if;
    if cardinality(p_queues) = 0 then
        perform pgq._refuse(
            'PQ005',
            'bad queues of a token',
            'queues are none; expected at least one, or null for all.',
            'Name the queues that it is limited to, or leave them out.'
        );
    end if;
    foreach v_queue in array coalesce(p_queues, '{}') loop
        perform pgq._check_queue(v_queue);
    end loop;
    if p_expires_in <= interval '0' or p_expires_in > interval '100 years' then
        perform pgq._refuse(
            'PQ005',
            'bad expiry of a token',
            format('expires_in is %L; expected more than 0 and at most 100 years, or null for never.', p_expires_in),
            'Correct the interval: no token was made.'
        );
    end if;
    insert into pgq.token (name, hash, scopes, queues, expires_at)
    select
        p_name,
        p_hash,
        array(select s.scope from unnest(v_scopes) with ordinality s (scope, n) where s.scope = any (p_scopes) order by s.n),
        (select array_agg(distinct q.queue) from unnest(p_queues) q (queue)),
        now() + p_expires_in
    on conflict (hash) do nothing
    returning id into v_id;
    if not found then
        perform pgq._refuse(
            'PQ005',
            'bad hash of a token',
            'hash is that of another token; expected one that was never used.',
            'Draw another secret.'
        );
    end if;
    return v_id;
end
$$;
comment on function pgq.create_token is
    'Enters a token of the service by the SHA-256 of its secret. Scopes: enqueue, work, view, operate, admin. p_queues: what it is limited to, null for all. Returns its id.';
select pgq._allow('create_token', 'pgq_admin');
