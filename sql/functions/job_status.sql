create or replace view pgq.job_status as
select
    j.id,
    j.task,
    j.queue,
    j.priority,
    case
        when l.job_id is not null then 'running'
        when r.job_id is not null then 'ready'
        when d.job_id is not null then pgq._delayed_state(d.why)
        when f.job_id is not null then f.outcome
        else 'dead'
    end as state,
    coalesce(l.attempt, r.attempt, d.attempt, f.attempt, x.attempt) as attempt,
    coalesce(l.crashes, r.crashes, d.crashes, x.crashes, 0) as crashes,
    coalesce(l.suspect, r.suspect, d.suspect, false) as suspect,
    coalesce(d.run_at, j.run_at) as run_at,
    j.created_at,
    l.claimed_at,
    coalesce(l.started_at, f.started_at) as started_at,
    coalesce(f.finished_at, x.died_at) as finished_at,
    coalesce(l.worker, f.worker, x.worker) as worker,
    j.tags
from pgq.job j
left join pgq.lease l on l.job_id = j.id
left join pgq.ready r on r.job_id = j.id
left join pgq.delayed d on d.job_id = j.id
left join pgq.finished f on f.job_id = j.id
left join pgq.dead x on x.job_id = j.id
where num_nonnulls(l.job_id, r.job_id, d.job_id, f.job_id, x.job_id) > 0;
comment on view pgq.job_status is
    'Every job with its state, without payload, headers and result. Made for look-ups by id; use pgq.list_jobs to find jobs by anything else.';
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_viewer') then
        grant select on pgq.job_status to pgq_viewer;
    end if;
end
$$;
