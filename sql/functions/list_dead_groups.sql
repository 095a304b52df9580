create or replace function pgq.list_dead_groups(
    p_queue   text     default null,
    p_task    text     default null,
    p_limit   integer  default 50,
    p_queues  text[]   default null
)
returns table (
    fingerprint  text,
    reason       text,
    error_class  text,
    message      text,
    n            bigint,
    first_at     timestamptz,
    last_at      timestamptz,
    last_id      bigint,
    tasks        text[],
    queues       text[]
)
language plpgsql
stable
security definer
set search_path = ''
-- The right plan goes down the index of died_at, then looks each group's last job up. Said here, it
-- holds on tables never analysed too.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
    perform pgq._check_limit(p_limit, 10000);
    return query
    with grouped as (
        -- By lane first: array_agg(distinct) would sort all letters, in more than twice the time.
        select
            b.fingerprint,
            sum(b.n)::bigint as n,
            min(b.first_at) as first_at,
            max(b.last_at) as last_at,
            max(b.last_id) as last_id,
            array_agg(b.lane) as lanes
        from (
            select
                d.fingerprint,
                d.lane,
                count(*) as n,
                min(d.died_at) as first_at,
                max(d.died_at) as last_at,
                max(d.job_id) as last_id
            from (
                select x.fingerprint, x.died_at, x.job_id, x.lane
                from pgq.dead x
                order by x.died_at desc, x.job_id desc
                limit 100000
            ) d
            where (p_queue is null and p_queues is null)
                or d.lane = any (array(
                    select distinct l.lane
                    from pgq.lane l
                    where (p_queue is null or l.queue = p_queue)
                        and (p_queues is null or l.queue = any (p_queues))
                ))
            group by d.fingerprint, d.lane
        ) b
        group by b.fingerprint
    )
    select
        g.fingerprint,
        d.reason,
        d.error_class,
        d.message,
        g.n,
        g.first_at,
        g.last_at,
        g.last_id,
        array[d.task],
        array(
            select distinct l.queue from pgq.lane l where l.lane = any (g.lanes) order by l.queue
        )
    from (select x.* from grouped x order by x.last_at desc, x.last_id desc) g
    cross join lateral (
        select d.reason, d.error_class, d.message, j.task
        from pgq.dead d
        join pgq.job j on j.id = d.job_id
        where d.job_id = g.last_id
            and j.id = g.last_id
            and (p_task is null or j.task = p_task)
        offset 0
    ) d
    order by g.last_at desc, g.last_id desc
    limit p_limit;
end
$$;
comment on function pgq.list_dead_groups is
    'Kinds of errors among the newest 100,000 dead letters, those of a queue or a task, the last seen first: how many, since when, and what the newest job said. A kind belongs to one task.';
select pgq._allow('list_dead_groups', 'pgq_viewer');
