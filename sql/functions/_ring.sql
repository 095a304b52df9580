create or replace function pgq._ring()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_floor  bigint := pgq._seen_before('waiter', interval '20 seconds');
    v_rung   text;
begin
    if current_setting('pgq.wake', true) = 'off'
        or not exists (select from pgq.waiter w where w.seq >= v_floor)
    then
        return null;
    end if;
    -- As many executors as the new jobs need, chosen at random.
    select string_agg(distinct format('%s.%s', c.worker, c.executor), ' ')
    into v_rung
    from (
        select
            w.worker,
            w.executor,
            n.jobs,
            sum(w.slots) over (partition by n.queue order by random()) - w.slots as served
        from (
            select q.queue, sum(g.jobs) as jobs
            from (
                select r.lane, count(*) as jobs
                from new_rows r
                where not r.suspect
                group by r.lane
            ) g
            cross join lateral (
                select l.queue from pgq.lane l where l.lane = g.lane order by l.id limit 1
            ) q
            group by q.queue
        ) n
        join pgq.waiter w on w.queue = n.queue and w.seq >= v_floor
        limit 400
    ) c
    where c.served < c.jobs;
    if v_rung is not null then
        perform pg_notify('pgq', 'w ' || v_rung);
    end if;
    return null;
end
$$;
comment on function pgq._ring is
    'After rows came into ready: wakes idle executors of their queues. Without any it costs two index probes and no NOTIFY, which would take a lock of the whole cluster at commit.';
select pgq._allow('_ring');
