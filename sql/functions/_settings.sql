create or replace function pgq._settings(p_queue text)
returns table (
    paused_at           timestamptz,
    max_attempts        integer,
    timeout             interval,
    backoff_base        interval,
    backoff_max         interval,
    payload_limit       integer,
    keep_finished       interval,
    keep_dead           interval,
    unknown_task_after  interval
)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
begin
    return query
    select
        q.paused_at,
        coalesce(q.max_attempts, s.max_attempts),
        coalesce(q.timeout, s.timeout),
        coalesce(q.backoff_base, s.backoff_base),
        coalesce(q.backoff_max, s.backoff_max),
        coalesce(q.payload_limit, s.payload_limit),
        coalesce(q.keep_finished, s.keep_finished),
        coalesce(q.keep_dead, s.keep_dead),
        coalesce(q.unknown_task_after, s.unknown_task_after)
    from pgq.setting s
    left join pgq.queue q on q.queue = p_queue;
end
$$;
comment on function pgq._settings is 'Settings that a queue has, its own or the service''s.';
select pgq._allow('_settings');
