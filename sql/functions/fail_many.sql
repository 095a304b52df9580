create or replace function pgq.fail_many(
    p_ids            bigint[],
    p_tokens         uuid[],
    p_error_classes  text[] default null,
    p_messages       text[] default null,
    p_tracebacks     text[] default null,
    p_permanents     boolean[] default null,
    p_retry_ins      interval[] default null,
    p_reasons        text[] default null,
    p_ran_seconds    double precision[] default null
)
returns table (
    id      bigint,
    state   text,
    run_at  timestamptz
)
language plpgsql
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_job    record;
    v_lease  pgq.lease;
begin
    for v_job in
        select u.*
        from unnest(
            p_ids, p_tokens, p_error_classes, p_messages, p_tracebacks, p_permanents, p_retry_ins,
            p_reasons, p_ran_seconds
        ) u (id, token, error_class, message, traceback, permanent, retry_in, reason, ran)
        order by u.id
    loop
        id := v_job.id;
        state := null;
        run_at := null;
        if coalesce(v_job.reason, 'error') not in ('error', 'timeout') or v_job.retry_in < interval '0' then
            perform pgq._refuse(
                'PQ005',
                format('bad arguments of fail for job %s', v_job.id),
                format('reason is %L, retry_in %L; expected error or timeout, and 0 or more.',
                       v_job.reason, v_job.retry_in),
                'Correct the call: the job is still leased.'
            );
        end if;
        delete from pgq.lease l
        where l.job_id = v_job.id
            and l.token = v_job.token
        returning l.* into v_lease;
        if found then
            v_lease.started_at := coalesce(
                v_lease.started_at, now() - make_interval(secs => v_job.ran)
            );
            select f.state, f.run_at
            into state, run_at
            from pgq._fail_lease(
                v_lease,
                coalesce(v_job.reason, 'error'),
                v_job.error_class,
                v_job.message,
                v_job.traceback,
                coalesce(v_job.permanent, false),
                v_job.retry_in
            ) f;
        elsif exists (
            select
            from pgq.attempt a
            where a.job_id = v_job.id
                and a.token = v_job.token
                and a.reason in ('error', 'timeout')
        ) then
            select s.state, s.run_at into state, run_at from pgq.job_status s where s.id = v_job.id;
        else
            state := 'lost';
        end if;
        return next;
    end loop;
end
$$;
comment on function pgq.fail_many is
    'Ends attempts that failed, each with its token; see pgq.fail. A row for each: retrying with the time, dead, cancelled, or lost when the lease was no longer that token''s. Repeated with the same tokens it tells how the jobs stand.';
select pgq._allow('fail_many', 'pgq_worker');
