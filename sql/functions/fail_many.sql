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
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off -- but for the lateral look-ups, which have no other way
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_bad        record;
    v_held       bigint[];
    v_low        bigint;
    v_high       bigint;
    v_ids        bigint[];
    v_tokens     uuid[];
    v_states     text[];
    v_run_ats    timestamptz[];
    v_cancelled  pgq.lease[];
    v_begun      timestamptz[];
    v_lease      pgq.lease;
    v_dead       pgq.lease[];
    v_reasons    text[];
    v_classes    text[];
    v_messages   text[];
    v_job        record;
    v_lost       bigint[];
begin
    select g.*
    into v_bad
    from unnest(p_ids, p_retry_ins, p_reasons) g (id, retry_in, reason)
    where g.reason not in ('error', 'timeout')
        or g.retry_in < interval '0'
    order by g.id
    limit 1;
    if found then
        perform pgq._refuse(
            'PQ005',
            format('bad arguments of fail for job %s', v_bad.id),
            format('reason is %L, retry_in %L; expected error or timeout, and 0 or more.',
                   v_bad.reason, v_bad.retry_in),
            'Correct the call: the job is still leased.'
        );
    end if;
    -- Locked first, in the order of ids: the next statement sees what was asked of these jobs until now.
    select array_agg(l.job_id), min(l.job_id), max(l.job_id)
    into v_held, v_low, v_high
    from (select distinct u.id, u.token from unnest(p_ids, p_tokens) u (id, token) order by u.id) g
    cross join lateral (
        select x.job_id
        from pgq.lease x
        where x.job_id = g.id
            and x.token = g.token
        for update
    ) l;
    with given as (
        select distinct on (u.id, u.token)
            u.id,
            u.token,
            u.error_class,
            u.message,
            u.traceback,
            coalesce(u.permanent, false) as permanent,
            u.retry_in,
            coalesce(u.reason, 'error') as reason,
            u.ran
        from unnest(
            p_ids, p_tokens, p_error_classes, p_messages, p_tracebacks, p_permanents, p_retry_ins,
            p_reasons, p_ran_seconds
        ) with ordinality u (
            id, token, error_class, message, traceback, permanent, retry_in, reason, ran, n
        )
        order by u.id, u.token, u.n
    ),
    ended as (
        delete from pgq.lease l where l.job_id = any (v_held) returning l.*, l as lease
    ),
    failed as materialized (
        select
            e.*,
            g.error_class,
            g.message,
            g.traceback,
            g.reason,
            coalesce(e.started_at, now() - make_interval(secs => g.ran)) as begun,
            case
                when exists (
                    select
                    from pgq.cancel_request c
                    where c.job_id = e.job_id
                        and c.token = e.token
                ) then 'cancelled'
                when g.permanent or e.attempt >= coalesce(j.max_attempts, q.max_attempts, s.max_attempts)
                then 'dead'
                else 'retrying'
            end as state,
            -- Full jitter: Brooker, Exponential Backoff And Jitter (2015).
            clock_timestamp() + coalesce(
                g.retry_in,
                make_interval(secs => random() * least(
                    date_part('epoch', coalesce(j.backoff_max, q.backoff_max, s.backoff_max)),
                    date_part('epoch', coalesce(j.backoff_base, q.backoff_base, s.backoff_base))
                        * 2.0 ^ least(e.attempt - 1, 60)
                ))
            ) as run_at
        from ended e
        join given g on g.id = e.job_id and g.token = e.token
        cross join pgq.setting s
        -- OFFSET 0: one look-up for each id, whatever the planner believes of the tables' sizes.
        left join lateral (
            select j.queue, j.max_attempts, j.backoff_base, j.backoff_max
            from pgq.job j
            where j.id = e.job_id
                and j.id between v_low and v_high
            offset 0
        ) j on true
        left join lateral (
            select q.max_attempts, q.backoff_base, q.backoff_max
            from pgq.queue q
            where q.queue = j.queue
            offset 0
        ) q on true
    ),
    noted as (
        insert into pgq.attempt (
            job_id, attempt, token, worker, executor, claimed_at, started_at, reason, charged,
            error_class, message, traceback
        )
        select
            f.job_id,
            f.attempt,
            f.token,
            f.worker,
            f.executor,
            f.claimed_at,
            f.begun,
            f.reason,
            true,
            left(f.error_class, 200),
            left(f.message, 10000),
            left(f.traceback, 100000)
        from failed f
    ),
    postponed as (
        insert into pgq.delayed (run_at, job_id, lane, attempt, crashes, suspect, has_key, why, due_at)
        select
            f.run_at,
            f.job_id,
            f.lane,
            f.attempt,
            f.crashes,
            f.suspect,
            f.has_key,
            'retry',
            f.claimed_at - make_interval(secs => f.waited)
        from failed f
        where f.state = 'retrying'
    ),
    timed as (
        select
            q.queue,
            f.state,
            f.reason,
            greatest(date_part('epoch', now() - coalesce(f.begun, f.claimed_at)), 0) as ran
        from failed f
        join (
            select c.lane, q.queue
            from (select distinct f.lane from failed f) c
            cross join lateral (
                select l.queue from pgq.lane l where l.lane = c.lane order by l.id limit 1
            ) q
            offset 0 -- once for each lane
        ) q on q.lane = f.lane
    ),
    counted as (
        insert into pgq.tally (queue, metric, label, n, spread, sums)
        select
            f.queue,
            'attempt',
            case when f.state = 'cancelled' then 'cancelled' else f.reason end,
            count(*),
            array_agg((31 + (width_bucket(f.ran, pgq._bounds()) << 5) + (31 << 10))::smallint),
            array[null, sum(f.ran), null]
        from timed f
        group by 1, 3
        union all
        select f.queue, 'transition', 'running>retrying', count(*), null, null
        from timed f
        where f.state = 'retrying'
        group by f.queue
    )
    select
        array_agg(f.job_id order by f.job_id),
        array_agg(f.token order by f.job_id),
        array_agg(f.state order by f.job_id),
        array_agg(case when f.state = 'retrying' then f.run_at end order by f.job_id),
        array_agg(f.lease) filter (where f.state = 'cancelled'),
        array_agg(f.begun) filter (where f.state = 'cancelled'),
        array_agg(f.lease) filter (where f.state = 'dead'),
        array_agg(f.reason) filter (where f.state = 'dead'),
        array_agg(f.error_class) filter (where f.state = 'dead'),
        array_agg(left(f.message, 10000)) filter (where f.state = 'dead')
    into
        v_ids, v_tokens, v_states, v_run_ats, v_cancelled, v_begun, v_dead, v_reasons, v_classes, v_messages
    from failed f;
    if v_dead is not null then
        perform pgq._bury(v_dead, v_reasons, v_classes, v_messages);
    end if;
    for n in 1 .. coalesce(cardinality(v_cancelled), 0) loop
        v_lease := v_cancelled[n];
        v_lease.started_at := v_begun[n];
        perform pgq._cancel_lease(v_lease, p_add_attempt => false);
    end loop;
    for v_job in
        select g.id, g.token, f.state, f.run_at
        from unnest(p_ids, p_tokens) g (id, token)
        left join unnest(v_ids, v_tokens, v_states, v_run_ats) f (id, token, state, run_at)
            on f.id = g.id and f.token = g.token
        order by g.id
    loop
        id := v_job.id;
        state := v_job.state;
        run_at := v_job.run_at;
        if state is null then
            state := 'lost';
            if exists (
                select
                from pgq.attempt a
                where a.job_id = v_job.id
                    and a.token = v_job.token
                    and a.reason in ('error', 'timeout')
            ) then
                select s.state, s.run_at into state, run_at from pgq.job_status s where s.id = v_job.id;
            end if;
        end if;
        if state = 'lost' then
            v_lost := v_lost || id;
        end if;
        return next;
    end loop;
    if v_lost is not null then
        perform pgq._count_stale('fail', v_lost);
    end if;
end
$$;
comment on function pgq.fail_many is
    'Ends attempts that failed, each with its token; see pgq.fail. A row for each: retrying with the time, dead, cancelled, or lost when the lease was no longer that token''s. Repeated with the same tokens it tells how the jobs stand.';
select pgq._allow('fail_many', 'pgq_worker');
