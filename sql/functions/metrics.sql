create or replace function pgq.metrics(p_queues integer default 50)
returns table (
    metric  text,
    suffix  text,
    labels  text[],
    value   double precision
)
language plpgsql
-- Volatile: it tells the time that it took.
volatile
security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
    v_began   timestamptz := clock_timestamp();
    v_health  record;
begin
    perform pgq._check_limit(p_queues, 10000);
    return query select m.* from pgq._queue_metrics(p_queues) m;

    return query
    with worker as materialized (
        select w.* from pgq._workers(null) w
    )
    select 'pgq_workers', '', array[s.state], count(w.id)::double precision
    from unnest(array['available', 'busy', 'draining', 'offline']) s (state)
    left join worker w on w.state = s.state
    group by s.state
    union all
    select m.metric, '', '{}', m.value
    from (
        select
            coalesce(sum(w.slots), 0) as slots,
            coalesce(sum(w.busy), 0) as busy,
            greatest(extract(epoch from clock_timestamp() - min(w.heartbeat_at)), 0) as age
        from worker w
        where w.state <> 'offline'
    ) w
    cross join lateral (
        values
            ('pgq_worker_slots', w.slots::double precision),
            ('pgq_worker_busy_slots', w.busy::double precision),
            ('pgq_worker_heartbeat_age_seconds', coalesce(w.age, 0)::double precision)
    ) m (metric, value)
    union all
    select 'pgq_operations', '', '{}', count(*)::double precision
    from pgq.operation o
    where o.state = 'running';

    select h.* into v_health from pgq.database_health() h;
    return query
    select m.metric, '', '{}'::text[], m.value
    from (
        values
            ('pgq_schema_version', pgq.version()::double precision),
            ('pgq_upkeep_age_seconds', v_health.upkeep_seconds),
            ('pgq_floor_age_seconds', v_health.floor_seconds),
            ('pgq_stragglers', v_health.stragglers),
            ('pgq_partitions_ahead', v_health.days_ahead),
            ('pgq_oldest_transaction_age_seconds', coalesce(v_health.oldest_seconds, 0)),
            ('pgq_oldest_snapshot_age_transactions', v_health.xmin_age),
            ('pgq_notification_queue_ratio', v_health.notification_queue),
            ('pgq_connections', v_health.connections),
            ('pgq_connections_limit', v_health.max_connections),
            ('pgq_database_time_seconds', extract(epoch from v_health.database_now)::double precision)
    ) m (metric, value)
    union all
    select m.metric, '', array[t.relation], m.value
    from pgq.list_tables() t
    cross join lateral (
        values
            ('pgq_table_size_bytes', t.size_bytes::double precision),
            ('pgq_table_dead_rows', t.dead_rows::double precision)
    ) m (metric, value);

    metric := 'pgq_collect_seconds';
    suffix := '';
    labels := '{}';
    value := extract(epoch from clock_timestamp() - v_began);
    return next;
end
$$;
comment on function pgq.metrics is
    'Samples of the metrics that pgq.list_metrics describes: the suffix of the metric''s name (_bucket, _count, _sum of a histogram), and the values of its labels in their order, after which a bucket has its upper bound. It never counts jobs. The p_queues queues that had a job first have samples of their own, the rest, and any that is called so, are added up as "other".';
select pgq._allow('metrics', 'pgq_viewer');

create or replace function pgq._queue_metrics(p_queues integer)
returns table (
    metric  text,
    suffix  text,
    labels  text[],
    value   double precision
)
language sql
stable
set search_path = ''
set jit = off
as $$
    with known as materialized (
        -- In the order in which they came, which stays: a queue never moves to other, nor back.
        select
            k.queue,
            k.queue <> 'other' and row_number() over (order by k.queue = 'other', k.first, k.queue) <= p_queues as named
        from (
            select l.queue, min(l.id) as first from pgq.lane l group by l.queue
            union all
            select q.queue, null
            from pgq.queue q
            where not exists (select from pgq.lane l where l.queue = q.queue)
        ) k
    ),
    shown as materialized (
        select k.queue from known k where k.named
        union all
        select 'other' where exists (select from known k where not k.named)
    ),
    counted as materialized (
        select
            coalesce(k.queue, 'other') as queue, s.metric, s.label, s.bucket, sum(s.n) as n, sum(s.sum) as sum
        from pgq.stats() s
        left join known k on k.queue = s.queue and k.named
        group by 1, 2, 3, 4
    ),
    moved as materialized (
        select
            c.queue,
            split_part(c.label, '>', 1) as from_state,
            split_part(c.label, '>', 2) as to_state,
            sum(c.n) as n
        from counted c
        where c.metric = 'transition'
        group by 1, 2, 3
    ),
    -- Each kind that there can be, so that a first one is seen to make a difference.
    kind (metric, label) as (
        values
            ('pgq_jobs_enqueued_total', 'sql'),
            ('pgq_jobs_enqueued_total', 'http'),
            ('pgq_jobs_enqueued_total', 'python'),
            ('pgq_jobs_enqueued_total', 'cli'),
            ('pgq_jobs_started_total', null),
            ('pgq_jobs_finished_total', 'succeeded'),
            ('pgq_jobs_finished_total', 'cancelled'),
            ('pgq_jobs_finished_total', 'dead'),
            ('pgq_job_attempts_total', 'succeeded'),
            ('pgq_job_attempts_total', 'error'),
            ('pgq_job_attempts_total', 'timeout'),
            ('pgq_job_attempts_total', 'crashed'),
            ('pgq_job_attempts_total', 'lost'),
            ('pgq_job_attempts_total', 'cancelled'),
            ('pgq_job_attempts_total', 'released'),
            ('pgq_job_attempts_total', 'unknown_task'),
            ('pgq_job_retries_total', 'error'),
            ('pgq_job_retries_total', 'timeout'),
            ('pgq_job_retries_total', 'crashed'),
            ('pgq_job_retries_total', 'lost'),
            ('pgq_jobs_dead_total', 'error'),
            ('pgq_jobs_dead_total', 'timeout'),
            ('pgq_jobs_dead_total', 'crashed'),
            ('pgq_jobs_dead_total', 'unknown_task'),
            ('pgq_lease_expirations_total', null),
            ('pgq_stale_completions_total', 'complete'),
            ('pgq_stale_completions_total', 'fail'),
            ('pgq_stale_completions_total', 'log'),
            ('pgq_jobs', 'scheduled'),
            ('pgq_jobs', 'ready'),
            ('pgq_jobs', 'running'),
            ('pgq_jobs', 'retrying'),
            ('pgq_jobs', 'dead')
    ),
    happened as (
        select
            m.queue,
            'pgq_jobs_enqueued_total' as metric,
            coalesce(nullif(m.from_state, ''), 'sql') as label,
            m.n
        from moved m
        where m.from_state in ('', 'http', 'python', 'cli')
        union all
        select m.queue, 'pgq_jobs_started_total', null, m.n
        from moved m
        where m.from_state = 'ready'
            and m.to_state = 'running'
        union all
        select m.queue, 'pgq_jobs_finished_total', m.to_state, m.n from moved m where m.from_state <> 'audit'
        union all
        select m.queue, 'pgq_job_attempts_total', 'succeeded', m.n
        from moved m
        where m.from_state = 'running'
            and m.to_state = 'succeeded'
        union all
        select m.queue, 'pgq_jobs', m.to_state, m.n from moved m
        union all
        select m.queue, 'pgq_jobs', m.from_state, -m.n from moved m
        union all
        select c.queue, x.metric, replace(c.label, ' ', '_'), c.n * x.sign
        from counted c
        join (
            values
                ('attempt', 'pgq_job_attempts_total', 1),
                -- After the last one it is not tried again.
                ('attempt', 'pgq_job_retries_total', 1),
                ('dead', 'pgq_job_retries_total', -1),
                ('dead', 'pgq_jobs_dead_total', 1),
                ('stale', 'pgq_stale_completions_total', 1)
        ) x (counter, metric, sign) on x.counter = c.metric
        union all
        select c.queue, 'pgq_lease_expirations_total', null, c.n
        from counted c
        where c.metric = 'lease'
            and c.label = 'expired'
    ),
    measured as materialized (
        select c.queue, c.metric, c.n, c.sum
        from counted c
        where c.metric in ('wait', 'run', 'total')
            and c.bucket is null
    ),
    setting as (
        select k.queue, s.paused_at, s.max_attempts, s.timeout
        from known k
        cross join lateral pgq._settings(k.queue) s
        where k.named
    ),
    taker as (
        select q.queue, count(*) as n
        from pgq._live_worker w
        cross join lateral (select distinct u.queue from unnest(w.queues) u (queue)) q
        where not exists (select from pgq.drain_request d where d.worker = w.id)
        group by q.queue
    )
    select
        k.metric,
        '',
        case when k.label is null then array[s.queue] else array[s.queue, k.label] end,
        greatest(coalesce(sum(h.n), 0), 0)::double precision
    from shown s
    cross join kind k
    left join happened h on h.queue = s.queue and h.metric = k.metric and h.label is not distinct from k.label
    group by s.queue, k.metric, k.label
    union all
    select format('pgq_job_%s_seconds', h.metric), h.suffix, h.labels, h.value
    from (
        select
            a.queue,
            a.metric,
            b.place,
            '_bucket' as suffix,
            -- Whole numbers as 1.0, which OpenMetrics wants.
            array[a.queue, b.bound || case when b.bound = trunc(b.bound) then '.0' else '' end] as labels,
            sum(coalesce(c.n, 0)) over (partition by a.queue, a.metric order by b.place)::double precision as value
        from measured a
        cross join unnest(pgq._bounds()) with ordinality b (bound, place)
        left join counted c on c.queue = a.queue and c.metric = a.metric and c.bucket = b.bound::real
        union all
        select a.queue, a.metric, m.place, m.suffix, m.labels, m.value
        from measured a
        cross join lateral (
            values
                (100, '_bucket', array[a.queue, '+Inf'], a.n::double precision),
                (101, '_count', array[a.queue], a.n),
                (102, '_sum', array[a.queue], a.sum)
        ) m (place, suffix, labels, value)
        order by 2, 1, 3
    ) h
    union all
    select m.metric, '', array[s.queue], m.value
    from setting s
    left join taker t on t.queue = s.queue
    left join pgq._waiting_since(null) w on w.queue = s.queue
    cross join lateral (
        values
            (
                'pgq_queue_oldest_ready_age_seconds',
                greatest(coalesce(extract(epoch from clock_timestamp() - w.since), 0), 0)
            ),
            ('pgq_queue_paused', (s.paused_at is not null)::integer),
            (
                'pgq_queue_paused_seconds',
                greatest(coalesce(extract(epoch from clock_timestamp() - s.paused_at), 0), 0)
            ),
            ('pgq_queue_workers', coalesce(t.n, 0)),
            ('pgq_queue_max_attempts', s.max_attempts),
            ('pgq_queue_timeout_seconds', extract(epoch from s.timeout))
    ) m (metric, value)
    union all
    select 'pgq_queues', '', '{}', count(*)::double precision from known k
    union all
    select 'pgq_workers_lost_total', '', '{}', coalesce(sum(c.n), 0)::double precision
    from counted c
    where c.metric = 'worker'
        and c.label = 'expired'
    union all
    select 'pgq_repaired_total', '', array[replace(r.reason, ' ', '_')], coalesce(sum(c.n), 0)::double precision
    from unnest(array['no state', 'two states', 'below floor', 'counter']) r (reason)
    left join counted c on c.metric = 'repaired' and c.label = r.reason
    group by r.reason
$$;
comment on function pgq._queue_metrics is 'Samples of what was counted, and of how the queues stand.';
select pgq._allow('_queue_metrics');
