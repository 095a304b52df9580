-- Rights on the schema and the public columns of pgq.job, for the roles that there are. Verbs and views
-- are granted by their own files.

do $$
declare
    v_grant record;
begin
    for v_grant in
        select v.role, v.rights
        from (
            values
                ('pgq_enqueuer', 'usage on schema pgq'),
                ('pgq_worker', 'usage on schema pgq'),
                ('pgq_viewer', 'usage on schema pgq'),
                ('pgq_operator', 'usage on schema pgq'),
                ('pgq_admin', 'usage on schema pgq'),
                ('pgq_enqueuer', 'insert (task, payload, queue, priority, run_at, max_attempts, timeout, '
                    'backoff_base, backoff_max, unique_key, tags, headers), select (id) on pgq.job'),
                ('pgq_enqueuer', 'usage on sequence pgq.job_id_seq')
        ) v (role, rights)
        join pg_roles r on r.rolname = v.role
    loop
        execute format('grant %s to %I', v_grant.rights, v_grant.role);
    end loop;
end
$$;
