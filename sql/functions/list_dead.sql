create or replace function pgq.list_dead(
    p_queue        text     default null,
    p_task         text     default null,
    p_fingerprint  text     default null,
    p_before       bigint   default null,
    p_limit        integer  default 50,
    p_queues       text[]   default null
)
returns table (
    id           bigint,
    task         text,
    queue        text,
    reason       text,
    fingerprint  text,
    error_class  text,
    message      text,
    attempt      integer,
    crashes      integer,
    died_at      timestamptz
)
language plpgsql
stable
security definer
set search_path = ''
-- The right plan goes down an index of ids and looks each job up by its id. Said here, it holds on
-- tables never analysed too.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
    perform pgq._check_limit(p_limit, 10000);
    return query
    select
        d.job_id,
        j.task,
        j.queue,
        d.reason,
        d.fingerprint,
        d.error_class,
        d.message,
        d.attempt,
        d.crashes,
        d.died_at
    from (
        select x.*
        from pgq.dead x
        where (p_fingerprint is null or x.fingerprint = p_fingerprint)
            and (p_before is null or x.job_id < p_before)
        order by x.job_id desc
        limit case when num_nonnulls(p_queue, p_task, p_queues) = 0 then p_limit else 100000 end
    ) d
    cross join lateral (
        select j.task, j.queue from pgq.job j where j.id = d.job_id offset 0
    ) j
    -- The lane tells the queue without a look at the job.
    where (
            (p_queue is null and p_queues is null)
            or d.lane = any (array(
                select distinct l.lane
                from pgq.lane l
                where (p_queue is null or l.queue = p_queue)
                    and (p_queues is null or l.queue = any (p_queues))
            ))
        )
        -- Letters with the same fingerprint have one task: one job of each tells it.
        and (
            p_task is null
            or d.fingerprint = any (array(
                select g.fingerprint
                from (
                    select y.fingerprint, max(y.job_id) as job_id
                    from (
                        select x.fingerprint, x.job_id
                        from pgq.dead x
                        where p_before is null or x.job_id < p_before
                        order by x.job_id desc
                        limit 100000
                    ) y
                    group by y.fingerprint
                ) g
                where (select j.task from pgq.job j where j.id = g.job_id) = p_task
            ))
        )
    order by d.job_id desc
    limit p_limit;
end
$$;
comment on function pgq.list_dead is
    'Dead letters, the newest jobs first; p_before goes on below an id. By queue or task it looks among the newest 100,000.';
select pgq._allow('list_dead', 'pgq_viewer');
