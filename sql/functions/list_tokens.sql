create or replace function pgq.list_tokens()
returns table (
    id            bigint,
    name          text,
    scopes        text[],
    queues        text[],
    created_at    timestamptz,
    expires_at    timestamptz,
    last_used_at  timestamptz,
    revoked_at    timestamptz
)
language sql
stable
security definer
set search_path = ''
as $$
    select t.id, t.name, t.scopes, t.queues, t.created_at, t.expires_at, t.last_used_at, t.revoked_at
    from pgq.token t
    order by t.id
$$;
comment on function pgq.list_tokens is
    'Tokens of the service, those that are revoked or expired too; never what they are known by.';
select pgq._allow('list_tokens', 'pgq_admin');
