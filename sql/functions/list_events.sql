create or replace function pgq.list_events(p_id bigint)
returns table (
    at           timestamptz,
    event        text,
    attempt      integer,
    worker       bigint,
    worker_name  text,
    detail       text
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
    if not exists (select from pgq.job_status s where s.id = p_id) then
        perform pgq._refuse_state(p_id, 'list_events', '{}');
    end if;
    return query
    select e.at, e.event, e.attempt, e.worker, w.name, e.detail
    from (
        select j.created_at as at, 1 as place, 'created' as event, null::integer as attempt,
            null::bigint as worker, null::text as detail
        from pgq.job j
        where j.id = p_id
        union all
        select j.created_at, 2, 'scheduled', null, null, format('not before %s', pgq._when(j.run_at))
        from pgq.job j
        where j.id = p_id
            and j.run_at > j.created_at
        union all
        select e.at, e.place, e.event, a.attempt, a.worker, e.detail
        from (
            select b.*
            from pgq.attempt b
            where b.job_id = p_id
            order by b.ended_at desc
            limit 1000
        ) a
        cross join lateral (
            values
                (a.claimed_at, 3, 'claimed', null),
                (
                    -- A worker tells how long it ran, by a clock of its own.
                    case when a.started_at is not null then greatest(a.started_at, a.claimed_at) end,
                    4, 'started', null
                ),
                (
                    a.ended_at,
                    6,
                    case a.reason when 'error' then 'failed' when 'timeout' then 'timed out' else a.reason end,
                    concat_ws(': ', a.error_class, left(a.message, 500))
                )
        ) e (at, place, event, detail)
        union all
        select e.at, e.place, e.event, l.attempt, l.worker, null
        from pgq.lease l
        cross join lateral (
            values (l.claimed_at, 3, 'claimed'), (l.started_at, 4, 'started')
        ) e (at, place, event)
        where l.job_id = p_id
        union all
        select min(c.requested_at), 5, 'cancel requested', l.attempt, l.worker, null
        from pgq.lease l
        join pgq.cancel_request c on c.job_id = l.job_id and c.token = l.token
        where l.job_id = p_id
        group by l.attempt, l.worker
        union all
        -- What a bad attempt tells already is not told again.
        select e.at, e.place, e.event, nullif(f.attempt, 0), f.worker, null
        from pgq.finished f
        cross join lateral (
            values (f.started_at, 4, 'started'), (f.finished_at, 7, f.outcome)
        ) e (at, place, event)
        where f.job_id = p_id
            and (f.outcome = 'succeeded' or not exists (
                select from pgq.attempt a where a.job_id = p_id and a.token = f.token
            ))
        union all
        select d.died_at, 7, 'died', d.attempt, d.worker,
            concat_ws(': ', d.reason, d.error_class, left(d.message, 500))
        from pgq.dead d
        where d.job_id = p_id
        union all
        select s.since, 6, 'unknown task', null, null, 'no worker that claimed it knew the task'
        from (
            select r.unknown_since from pgq.ready r where r.job_id = p_id
            union all
            select y.unknown_since from pgq.delayed y where y.job_id = p_id
            union all
            select l.unknown_since from pgq.lease l where l.job_id = p_id
        ) s (since)
        union all
        select y.run_at, 8, 'next try', y.attempt + 1, null,
            case y.why when 'retry' then 'after a failure' when 'snooze' then 'as its handler asked'
                when 'unknown_task' then 'when a worker may know the task' end
        from pgq.delayed y
        where y.job_id = p_id
    ) e
    left join pgq.worker w on w.id = e.worker
    where e.at is not null
    order by e.at, e.place > 6, e.attempt nulls first, e.place;
end
$$;
comment on function pgq.list_events is
    'What happened to a job, in order, as its rows tell: created, scheduled, claimed, started, failed, timed out, lost, crashed, released, cancel requested, unknown task, succeeded, cancelled, died, and when the next try is due. Of the bad attempts the last 1,000. Attempts that a snooze or an unknown task ended leave nothing. PQ002: no such job.';
select pgq._allow('list_events', 'pgq_viewer');
