create or replace function pgq.get_job(p_id bigint)
returns table (
    id                bigint,
    task              text,
    queue             text,
    priority          integer,
    state             text,
    attempt           integer,
    max_attempts      integer,
    crashes           integer,
    suspect           boolean,
    run_at            timestamptz,
    created_at        timestamptz,
    claimed_at        timestamptz,
    started_at        timestamptz,
    finished_at       timestamptz,
    worker            bigint,
    worker_name       text,
    timeout           interval,
    unique_key        text,
    tags              text[],
    reason            text,
    error_class       text,
    message           text,
    cancel_requested  boolean
)
language plpgsql
stable
security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
begin
    return query
    select
        s.id,
        s.task,
        s.queue,
        s.priority,
        s.state,
        s.attempt,
        coalesce(j.max_attempts, q.max_attempts),
        s.crashes,
        s.suspect,
        s.run_at,
        s.created_at,
        s.claimed_at,
        s.started_at,
        s.finished_at,
        s.worker,
        w.name,
        coalesce(j.timeout, q.timeout),
        j.unique_key,
        s.tags,
        coalesce(x.reason, a.reason),
        coalesce(x.error_class, a.error_class),
        coalesce(x.message, a.message),
        exists (
            select
            from pgq.lease l
            join pgq.cancel_request c on c.job_id = l.job_id and c.token = l.token
            where l.job_id = p_id
        )
    from pgq.job_status s
    join pgq.job j on j.id = s.id
    cross join lateral pgq._settings(s.queue) q
    left join pgq.worker w on w.id = s.worker
    left join pgq.dead x on x.job_id = s.id
    left join lateral (
        select b.reason, b.error_class, b.message
        from pgq.attempt b
        where b.job_id = p_id
            and s.state not in ('succeeded', 'dead')
        order by b.ended_at desc
        limit 1
    ) a on true
    where s.id = p_id
        and j.id = p_id;
    if not found then
        perform pgq._refuse_state(p_id, 'get_job', '{}');
    end if;
end
$$;
comment on function pgq.get_job is
    'All about a job but its payload. reason, error_class and message tell why it is dead, or how its last bad attempt ended. PQ002: no such job.';
select pgq._allow('get_job', 'pgq_worker', 'pgq_viewer');
