-- Group roles of the cluster, which all its databases share. Where they cannot be created, the schema
-- works for its owner, and a warning says what to run.

do $$
declare
    v_role    text;
    v_member  record;
    v_missing text[] := '{}';
begin
    foreach v_role in array
        array['pgq_enqueuer', 'pgq_worker', 'pgq_viewer', 'pgq_operator', 'pgq_admin']
    loop
        continue when exists (select from pg_roles r where r.rolname = v_role);
        begin
            execute format('create role %I nologin', v_role);
        exception
            when insufficient_privilege then
                v_missing := v_missing || format('create role %I nologin;', v_role);
            when duplicate_object or unique_violation then
                null;  -- by a migration of another database
        end;
    end loop;

    for v_member in
        select *
        from (
            values
                ('pgq_viewer', 'pgq_operator'),
                ('pgq_operator', 'pgq_admin'),
                ('pgq_worker', 'pgq_admin'),
                ('pgq_enqueuer', 'pgq_admin')
        ) v (granted, member)
    loop
        continue when exists (
            select
            from pg_auth_members m
            join pg_roles g on g.oid = m.roleid
            join pg_roles r on r.oid = m.member
            where g.rolname = v_member.granted
                and r.rolname = v_member.member
        );
        begin
            execute format('grant %I to %I', v_member.granted, v_member.member);
        exception
            when insufficient_privilege or undefined_object then
                v_missing := v_missing || format('grant %I to %I;', v_member.granted, v_member.member);
            when duplicate_object or unique_violation or internal_error then
                null;  -- by a migration of another database
        end;
    end loop;

    if v_missing <> '{}' then
        raise warning 'role % may not create the roles of the queue', current_user
            using hint = 'Have one that may run, then migrate again: ' || array_to_string(v_missing, ' ');
    end if;
end
$$;
