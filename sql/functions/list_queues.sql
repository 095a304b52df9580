create or replace function pgq.list_queues()
returns table (
    queue            text,
    paused_at        timestamptz,
    scheduled        bigint,
    ready            bigint,
    running          bigint,
    retrying         bigint,
    dead             bigint,
    succeeded        bigint,
    cancelled        bigint,
    workers          integer,
    max_attempts     integer,
    timeout          interval,
    oldest_ready_at  timestamptz
)
language sql
stable
security definer
set search_path = ''
as $$
    select q.* from pgq._queues(null) q order by q.queue
$$;
comment on function pgq.list_queues is
    'Queues that ever had a job or have settings. Depths come from what was counted, never from counting jobs; succeeded and cancelled are totals since the installation; workers are the live ones that take the queue; oldest_ready_at is since when the job that is next, or of several priorities the oldest, could have started.';
select pgq._allow('list_queues', 'pgq_viewer');

create or replace function pgq._queues(p_queue text)
returns table (
    queue            text,
    paused_at        timestamptz,
    scheduled        bigint,
    ready            bigint,
    running          bigint,
    retrying         bigint,
    dead             bigint,
    succeeded        bigint,
    cancelled        bigint,
    workers          integer,
    max_attempts     integer,
    timeout          interval,
    oldest_ready_at  timestamptz
)
language sql
stable
set search_path = ''
set jit = off
as $$
    with known as (
        select l.queue from pgq.lane l where p_queue is null or l.queue = p_queue
        union
        select q.queue from pgq.queue q where p_queue is null or q.queue = p_queue
    ),
    moved as (
        select c.queue, split_part(c.label, '>', 1) as from_state, split_part(c.label, '>', 2) as to_state, c.n
        from (
            select c.queue, c.label, c.n from pgq.counter c where c.metric = 'transition'
            union all
            select t.queue, t.label, t.n from pgq.tally t where t.metric = 'transition'
        ) c
        where p_queue is null
            or c.queue = p_queue
    ),
    depth as (
        select m.queue, m.state, sum(m.n)::bigint as n, sum(m.entered)::bigint as entered
        from (
            select m.queue, m.to_state as state, m.n, m.n as entered from moved m
            union all
            select m.queue, m.from_state, -m.n, 0 from moved m
        ) m
        group by m.queue, m.state
    )
    select
        k.queue,
        s.paused_at,
        coalesce(max(greatest(d.n, 0)) filter (where d.state = 'scheduled'), 0),
        coalesce(max(greatest(d.n, 0)) filter (where d.state = 'ready'), 0),
        coalesce(max(greatest(d.n, 0)) filter (where d.state = 'running'), 0),
        coalesce(max(greatest(d.n, 0)) filter (where d.state = 'retrying'), 0),
        coalesce(max(greatest(d.n, 0)) filter (where d.state = 'dead'), 0),
        coalesce(max(d.entered) filter (where d.state = 'succeeded'), 0),
        coalesce(max(d.entered) filter (where d.state = 'cancelled'), 0),
        (
            select count(*)::integer
            from pgq._live_worker w
            where k.queue = any (w.queues)
        ),
        s.max_attempts,
        s.timeout,
        w.since
    from known k
    cross join lateral pgq._settings(k.queue) s
    left join depth d on d.queue = k.queue
    left join pgq._waiting_since(p_queue) w on w.queue = k.queue
    group by k.queue, s.paused_at, s.max_attempts, s.timeout, w.since
$$;
comment on function pgq._queues is 'What pgq.list_queues tells, of all queues or of one.';
select pgq._allow('_queues');
