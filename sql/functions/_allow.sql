create or replace function pgq._allow(p_function text, variadic p_roles text[] default '{}')
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_role text;
begin
    execute format('revoke all on routine pgq.%I from public', p_function);
    for v_role in
        select r.rolname from pg_catalog.pg_roles r where r.rolname = any(p_roles)
    loop
        execute format('grant execute on routine pgq.%I to %I', p_function, v_role);
    end loop;
end
$$;
comment on function pgq._allow is
    'Lets these roles, those of them that exist, call a verb, and nobody else but the owner.';
select pgq._allow('_allow');
