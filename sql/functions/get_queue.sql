create or replace function pgq.get_queue(p_queue text)
returns table (
    queue               text,
    paused_at           timestamptz,
    scheduled           bigint,
    ready               bigint,
    running             bigint,
    retrying            bigint,
    dead                bigint,
    succeeded           bigint,
    cancelled           bigint,
    workers             integer,
    max_attempts        integer,
    timeout             interval,
    oldest_ready_at     timestamptz,
    backoff_base        interval,
    backoff_max         interval,
    payload_limit       integer,
    keep_finished       interval,
    keep_dead           interval,
    unknown_task_after  interval,
    overridden          text[]
)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    return query
    select
        q.*,
        s.backoff_base,
        s.backoff_max,
        s.payload_limit,
        s.keep_finished,
        s.keep_dead,
        s.unknown_task_after,
        array_remove(
            array[
                case when o.max_attempts is not null then 'max_attempts' end,
                case when o.timeout is not null then 'timeout' end,
                case when o.backoff_base is not null then 'backoff_base' end,
                case when o.backoff_max is not null then 'backoff_max' end,
                case when o.payload_limit is not null then 'payload_limit' end,
                case when o.keep_finished is not null then 'keep_finished' end,
                case when o.keep_dead is not null then 'keep_dead' end,
                case when o.unknown_task_after is not null then 'unknown_task_after' end
            ],
            null
        )
    from pgq._queues(p_queue) q
    cross join lateral pgq._settings(q.queue) s
    left join pgq.queue o on o.queue = q.queue
    where q.queue = p_queue;
    if not found then
        perform pgq._refuse(
            'PQ004',
            format('no queue %s', coalesce(quote_literal(left(p_queue, 200)), 'null')),
            'It has no settings and never had a job.',
            'Look at the names that list_queues gives; pgq.configure_queue makes settings before the first job.'
        );
    end if;
end
$$;
comment on function pgq.get_queue is
    'What pgq.list_queues tells of one queue, then the settings that hold for it; overridden names those that are its own. PQ004: no such queue.';
select pgq._allow('get_queue', 'pgq_viewer');
