create or replace function pgq.list_attempts(p_id bigint, p_limit integer default 1000)
returns table (
    job_id       bigint,
    attempt      integer,
    worker       bigint,
    worker_name  text,
    executor     integer,
    claimed_at   timestamptz,
    started_at   timestamptz,
    ended_at     timestamptz,
    reason       text,
    charged      boolean,
    error_class  text,
    message      text,
    traceback    text
)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    perform pgq._check_limit(p_limit, 10000);
    return query
    select
        a.job_id,
        a.attempt,
        a.worker,
        w.name,
        a.executor,
        a.claimed_at,
        a.started_at,
        a.ended_at,
        a.reason,
        a.charged,
        a.error_class,
        a.message,
        a.traceback
    from (
        select b.*
        from pgq.attempt b
        where b.job_id = p_id
        order by b.ended_at desc
        limit p_limit
    ) a
    left join pgq.worker w on w.id = a.worker
    order by a.ended_at, a.claimed_at;
end
$$;
comment on function pgq.list_attempts is
    'Attempts of a job that did not end well, the last p_limit of them, oldest first.';
select pgq._allow('list_attempts', 'pgq_viewer');
