create or replace function pgq.list_unknown_tasks(p_limit integer default 1000)
returns table (
    queue      text,
    task       text,
    n          bigint,
    oldest_id  bigint
)
language plpgsql
stable
security definer
set search_path = ''
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
    with known as materialized (
        select distinct q.queue, t.task
        from pgq._live_worker w
        cross join lateral unnest(w.queues) q (queue)
        cross join lateral json_object_keys(w.tasks) t (task)
    ),
    waiting as materialized (
        select u.job_id
        from (
            select d.job_id, d.why
            from pgq.delayed d
            where d.run_at < clock_timestamp() + interval '1 minute'
            order by d.run_at
            limit p_limit
        ) u
        where u.why = 'unknown_task'
        union all
        select r.job_id
        from (select distinct l.lane from pgq.lane l) l
        cross join lateral (
            select r.job_id
            from pgq.ready r
            where r.lane = l.lane
                and r.seq >= coalesce((
                    select f.floor from pgq.floor f where f.lane = l.lane order by f.floor desc limit 1
                ), 0)
            order by r.seq
            limit 100
        ) r
        limit 2 * p_limit
    )
    select j.queue, j.task, count(*), min(w.job_id)
    from waiting w
    cross join lateral (
        select j.queue, j.task from pgq.job j where j.id = w.job_id offset 0
    ) j
    where exists (select from pgq._live_worker v where j.queue = any (v.queues))
        and not exists (
            select
            from known k
            where k.queue = j.queue
                and (k.task = j.task or k.task = '*' and not starts_with(j.task, 'pgq.'))
        )
    group by j.queue, j.task
    order by 3 desc, 1, 2;
end
$$;
comment on function pgq.list_unknown_tasks is
    'Tasks of waiting jobs that no live worker of their queue knows, and how many of these jobs there are among the next of each lane and those that were declined: p_limit of each kind are looked at. Queues that no live worker takes are left out.';
select pgq._allow('list_unknown_tasks', 'pgq_viewer');
