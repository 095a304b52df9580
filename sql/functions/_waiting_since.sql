create or replace function pgq._waiting_since(p_queue text)
returns table (
    queue  text,
    since  timestamptz
)
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
    -- One statement for all queues: to set it up, over all days, takes longer than a look-up.
    return query
    select l.queue, min(greatest(j.created_at, j.run_at, a.ended_at))
    from (
        select distinct l.queue, l.lane
        from pgq.lane l
        where p_queue is null
            or l.queue = p_queue
    ) l
    cross join lateral (
        select r.job_id
        from pgq.ready r
        where r.lane = l.lane
            and r.seq >= coalesce((
                select f.floor from pgq.floor f where f.lane = l.lane order by f.floor desc limit 1
            ), 0)
        order by r.seq
        limit 1
    ) r
    cross join lateral (
        select j.created_at, j.run_at from pgq.job j where j.id = r.job_id offset 0
    ) j
    left join lateral (
        select a.ended_at
        from pgq.attempt a
        where a.job_id = r.job_id
        order by a.ended_at desc
        limit 1
    ) a on true
    group by l.queue;
end
$$;
comment on function pgq._waiting_since is
    'Since when the job has waited that is first in its lane, of each queue (or one) where any waits, over all lanes the earliest. From its creation, its run_at or its last bad attempt, whichever is latest.';
select pgq._allow('_waiting_since');
