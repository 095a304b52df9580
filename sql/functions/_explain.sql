create or replace function pgq._when(p_at timestamptz)
returns text
language sql
stable
set search_path = ''
as $$
    select date_trunc('second', p_at)::text
$$;
comment on function pgq._when is 'A time as pgq.explain writes it.';
select pgq._allow('_when');

create or replace function pgq._explain_ended(p_id bigint)
returns table (reason text, detail text)
language sql
stable
set search_path = ''
as $$
    select 'finished', format('%s at %s', f.outcome, pgq._when(f.finished_at))
    from pgq.finished f
    where f.job_id = p_id
    union all
    select
        'dead',
        concat_ws(
            ': ',
            format(
                '%s after %s attempt%s at %s',
                d.reason, d.attempt, case when d.attempt <> 1 then 's' end, pgq._when(d.died_at)
            ),
            d.error_class,
            left(d.message, 500)
        )
    from pgq.dead d
    where d.job_id = p_id
$$;
comment on function pgq._explain_ended is 'What pgq.explain says about a job that has ended.';
select pgq._allow('_explain_ended');

create or replace function pgq._explain_running(p_id bigint)
returns table (reason text, detail text)
language sql
stable
set search_path = ''
as $$
    select
        'running',
        format('attempt %s since %s on %s', l.attempt, pgq._when(l.claimed_at),
               coalesce(format('worker %s (%s)', l.worker, w.name), format('worker %s', l.worker)))
    from pgq.lease l
    left join pgq.worker w on w.id = l.worker
    where l.job_id = p_id
    union all
    select 'cancel_requested', format('at %s', pgq._when(min(c.requested_at)))
    from pgq.lease l
    join pgq.cancel_request c on c.job_id = l.job_id and c.token = l.token
    where l.job_id = p_id
    having count(*) > 0
$$;
comment on function pgq._explain_running is 'What pgq.explain says about a job that is running.';
select pgq._allow('_explain_running');

create or replace function pgq._explain_delayed(p_id bigint)
returns table (reason text, detail text)
language sql
stable
set search_path = ''
as $$
    select
        case d.why
            when 'retry' then 'retrying'
            when 'snooze' then 'snoozed'
            else d.why
        end,
        case d.why
            when 'retry' then concat_ws(
                ': ',
                format('until %s, after attempt %s ended as %s', pgq._when(d.run_at), d.attempt, coalesce(a.reason, 'error')),
                a.error_class,
                left(a.message, 500)
            )
            when 'snooze' then format('until %s, as its handler asked', pgq._when(d.run_at))
            when 'unknown_task' then format(
                'no worker that claimed it since %s knows task %L; next try at %s%s',
                pgq._when(d.unknown_since), j.task, pgq._when(d.run_at),
                case
                    when j.task not like 'pgq.%'
                    then format(', dead letter from %s on', pgq._when(d.unknown_since + s.unknown_task_after))
                end
            )
            else format('until %s', pgq._when(d.run_at))
        end
    from pgq.delayed d
    join pgq.job j on j.id = p_id
    cross join lateral pgq._settings(j.queue) s
    left join lateral (
        select b.reason, b.error_class, b.message
        from pgq.attempt b
        where b.job_id = p_id
        order by b.ended_at desc
        limit 1
    ) a on true
    where d.job_id = p_id
    union all
    select 'due', format('since %s: upkeep makes it ready, about once a second', pgq._when(d.run_at))
    from pgq.delayed d
    where d.job_id = p_id
        and d.run_at <= clock_timestamp()
$$;
comment on function pgq._explain_delayed is 'What pgq.explain says about a job that starts later.';
select pgq._allow('_explain_delayed');

create or replace function pgq._explain_ready(p_id bigint)
returns table (reason text, detail text)
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
declare
    v_ready    pgq.ready;
    v_lane     pgq.lane;
    v_floor    bigint;
    v_ahead    bigint;
    v_sooner   bigint;
    v_workers  bigint;
    v_free     bigint;
begin
    select r.* into v_ready from pgq.ready r where r.job_id = p_id;
    if not found then
        return;
    end if;
    select l.* into v_lane from pgq.lane l where l.lane = v_ready.lane order by l.id limit 1;
    select
        count(*),
        count(*) filter (where w.state = 'available' and w.busy < w.slots and d.worker is null)
    into v_workers, v_free
    from pgq._live_worker w
    left join pgq.drain_request d on d.worker = w.id
    where v_lane.queue = any (w.queues);
    if v_workers > 0 and v_free = 0 then
        return query
        select 'no_slots', format('all of the %s live workers that take queue %L are busy or draining', v_workers, v_lane.queue);
    end if;
    if v_workers > 0 and v_lane.reserved then
        return query
        select 'no_worker', format('no live worker of queue %L knows task %L, which no catch-all takes', j.queue, j.task)
        from pgq.job j
        where j.id = p_id
            and not exists (
                select from pgq._live_worker w
                where j.queue = any (w.queues)
                    and j.task in (select json_object_keys(w.tasks))
            );
    end if;
    if v_ready.suspect then
        return query
        select
            'suspect',
            format('a process died while it ran: it waits for a process of its own; %s of %s crashes used up',
                   v_ready.crashes, s.max_crashes)
        from pgq.setting s;
    end if;

    -- As claim walks: lanes of the queue by priority, each from its floor. Counted up to 10,000.
    select count(*), count(*) filter (where a.sooner)
    into v_ahead, v_sooner
    from (
        select l.sooner
        from (
            select distinct l.priority, l.lane, l.priority < v_lane.priority as sooner
            from pgq.lane l
            where l.queue = v_lane.queue
                and l.suspect = v_lane.suspect
                and (v_lane.reserved or not l.reserved)
                and l.priority <= v_lane.priority
        ) l
        cross join lateral (
            select
            from pgq.ready r
            where r.lane = l.lane
                and r.seq >= coalesce(
                    (select f.floor from pgq.floor f where f.lane = l.lane order by f.floor desc limit 1), 0
                )
                and (l.sooner or r.seq < v_ready.seq)
            limit 10000
        ) r
        limit 10000
    ) a;
    if v_ahead > 0 then
        return query
        select
            'behind',
            case when v_ahead = 10000 then '10,000+' else v_ahead::text end
                || case when v_ahead = 1 then ' job' else ' jobs' end
                || format(' of queue %L', v_lane.queue)
                || case when v_sooner > 0 and v_ahead < 10000
                    then format(', %s of them with a sooner priority than %s', v_sooner, v_lane.priority)
                    else ''
                end;
    end if;

    select f.floor into v_floor from pgq.floor f where f.lane = v_ready.lane order by f.floor desc limit 1;
    if v_ready.seq < v_floor then
        return query
        select 'below_floor', 'claims start behind it, because its transaction lasted long; upkeep moves it up';
    end if;
end
$$;
comment on function pgq._explain_ready is 'What pgq.explain says about a job that may start now.';
select pgq._allow('_explain_ready');
