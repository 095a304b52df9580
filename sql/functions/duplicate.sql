create or replace function pgq.duplicate(
    p_id        bigint,
    p_payload   json         default null,
    p_queue     text         default null,
    p_priority  integer      default null,
    p_run_at    timestamptz  default null,
    p_delay     interval     default null
)
returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_id bigint;
begin
    insert into pgq.job (
        task, payload, queue, priority, run_at, max_attempts, timeout, backoff_base, backoff_max, tags,
        headers
    )
    select
        j.task,
        coalesce(p_payload, j.payload),
        coalesce(p_queue, j.queue),
        coalesce(p_priority, j.priority),
        pgq._run_at(p_run_at, p_delay),
        j.max_attempts,
        j.timeout,
        j.backoff_base,
        j.backoff_max,
        j.tags,
        j.headers
    from pgq.job j
    where j.id = p_id
        and exists (select from pgq.job_status s where s.id = p_id)
    returning id into v_id;
    if v_id is null then
        perform pgq._refuse_state(p_id, 'duplicate', '{}');
    end if;
    return v_id;
end
$$;
comment on function pgq.duplicate is
    'A new job like this one, whatever became of that: with another payload, queue or priority if one is given, to run now, at p_run_at or after p_delay. The unique key is not copied. PQ002: no such job. PQ005: as for a new job.';
select pgq._allow('duplicate', 'pgq_operator');
