create or replace function pgq.decline(p_ids bigint[], p_tokens uuid[])
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
    v_since  timestamptz;
    v_task   text;
begin
    for v_job in
        select u.* from unnest(p_ids, p_tokens) u (id, token) order by u.id
    loop
        id := v_job.id;
        state := 'lost';
        run_at := null;
        delete from pgq.lease l
        where l.job_id = v_job.id
            and l.token = v_job.token
        returning l.* into v_lease;
        if found then
            v_since := coalesce(v_lease.unknown_since, clock_timestamp());
            select j.task into v_task from pgq.job j where j.id = v_job.id;
            if pgq._cancel_wanted(v_lease) then
                perform pgq._cancel_lease(v_lease);
                state := 'cancelled';
            elsif coalesce(v_task not like 'pgq.%', true) and clock_timestamp() - v_since >= (
                select s.unknown_task_after
                from pgq.lane l
                cross join lateral pgq._settings(l.queue) s
                where l.lane = v_lease.lane
                limit 1
            ) then
                perform pgq._add_attempt(
                    v_lease, 'unknown task', false, null, format('no worker knows task %L', v_task)
                );
                v_lease.attempt := v_lease.attempt - 1;
                perform pgq._bury(
                    array[v_lease], array['unknown task'], array[null],
                    array[format('no worker knows task %L', v_task)]
                );
                state := 'dead';
            else
                -- Half as long again as it has waited, between 1 s and 1 min.
                run_at := clock_timestamp() + least(
                    greatest((clock_timestamp() - v_since) / 2, interval '1 second'), interval '1 minute'
                );
                insert into pgq.delayed (
                    run_at, job_id, lane, attempt, crashes, suspect, has_key, why, unknown_since, due_at
                )
                values (
                    run_at, v_job.id, v_lease.lane, v_lease.attempt - 1, v_lease.crashes, v_lease.suspect,
                    v_lease.has_key, 'unknown_task', v_since, pgq._due_at(v_lease)
                );
                perform pgq._count(v_lease.lane, 'transition', 'running>scheduled');
                state := 'scheduled';
            end if;
        end if;
        return next;
    end loop;
end
$$;
comment on function pgq.decline is
    'Gives back running jobs whose task the worker does not know: uncharged, after a delay that grows, and dead (unknown task) once no worker has known it for the queue''s unknown_task_after; but jobs of our own tasks, whose names begin with pgq., wait on. State: scheduled with the time, dead, cancelled, or lost.';
select pgq._allow('decline', 'pgq_worker');
