create or replace function pgq.authenticate(p_hash bytea)
returns table (
    id          bigint,
    name        text,
    scopes      text[],
    queues      text[],
    expires_at  timestamptz
)
language plpgsql
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    update pgq.token t
    set last_used_at = clock_timestamp()
    where t.id = any (array(
        select x.id
        from pgq._valid_token x
        where x.hash = p_hash
            and coalesce(x.last_used_at < clock_timestamp() - interval '1 minute', true)
        for update skip locked
    ));
    return query
    select v.id, v.name, v.scopes, v.queues, v.expires_at
    from pgq._valid_token v
    where v.hash = p_hash;
end
$$;
comment on function pgq.authenticate is
    'The valid token that has this hash; no row when it is unknown, expired or revoked. Notes the use, at most once a minute, and waits for nobody.';
select pgq._allow('authenticate', 'pgq_admin');
