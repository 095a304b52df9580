create or replace function pgq.list_dead(
    p_queue        text     default null,
    p_task         text     default null,
    p_fingerprint  text     default null,
    p_before       bigint   default null,
    p_limit        integer  default 50
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
        limit case when p_queue is null and p_task is null then p_limit else 100000 end
    ) d
    join pgq.job j on j.id = d.job_id
    where (p_queue is null or j.queue = p_queue)
        and (p_task is null or j.task = p_task)
    order by d.job_id desc
    limit p_limit;
end
$$;
comment on function pgq.list_dead is
    'Dead letters, the newest jobs first; p_before goes on below an id. By queue or task it looks among the newest 100,000.';
select pgq._allow('list_dead', 'pgq_viewer');
