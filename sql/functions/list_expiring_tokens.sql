create or replace function pgq.list_expiring_tokens(p_within interval default interval '7 days')
returns table (
    id            bigint,
    name          text,
    expires_at    timestamptz,
    last_used_at  timestamptz
)
language sql
stable
security definer
set search_path = ''
as $$
    select t.id, t.name, t.expires_at, t.last_used_at
    from pgq.token t
    where t.revoked_at is null
        and t.expires_at < clock_timestamp() + p_within
        -- Those that live for less are meant to end.
        and t.expires_at - t.created_at > p_within
        and (
            t.expires_at > clock_timestamp()
            or t.expires_at > clock_timestamp() - p_within
            and t.last_used_at > t.expires_at - interval '1 day'
        )
    order by t.expires_at, t.id
$$;
comment on function pgq.list_expiring_tokens is
    'Tokens that end within this time, and those that ended as recently and were in use on their last day; not those that live for less.';
select pgq._allow('list_expiring_tokens', 'pgq_viewer');
