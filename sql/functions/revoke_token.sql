create or replace function pgq.revoke_token(p_id bigint)
returns boolean
language plpgsql
security definer
set search_path = ''
as $$
begin
    update pgq.token t
    set revoked_at = now()
    where t.id = p_id
        and t.revoked_at is null;
    if found then
        return true;
    end if;
    if not exists (select from pgq.token t where t.id = p_id) then
        perform pgq._refuse_record('token', p_id);
    end if;
    return false;
end
$$;
comment on function pgq.revoke_token is
    'Ends a token for good; false when it was revoked before. PQ009: no such token.';
select pgq._allow('revoke_token', 'pgq_admin');
