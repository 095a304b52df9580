create or replace function pgq.configure_queue(
    p_queue               text,
    p_max_attempts        integer   default null,
    p_timeout             interval  default null,
    p_backoff_base        interval  default null,
    p_backoff_max         interval  default null,
    p_payload_limit       integer   default null,
    p_keep_finished       interval  default null,
    p_keep_dead           interval  default null,
    p_unknown_task_after  interval  default null,
    p_reset               text[]    default '{}'
)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_names  text[] := array[
        'max_attempts', 'timeout', 'backoff_base', 'backoff_max', 'payload_limit', 'keep_finished',
        'keep_dead', 'unknown_task_after'
    ];
    v_reset  text[] := coalesce(p_reset, '{}');
    v_name   text;
begin
    perform pgq._check_queue(p_queue);
    perform pgq._check_count('max_attempts', p_max_attempts, 32767);
    perform pgq._check_interval('timeout', p_timeout, true);
    perform pgq._check_interval('backoff_base', p_backoff_base, false);
    perform pgq._check_interval('backoff_max', p_backoff_max, false);
    perform pgq._check_count('payload_limit', p_payload_limit, 1073741823);
    perform pgq._check_interval('keep_finished', p_keep_finished, false);
    perform pgq._check_interval('keep_dead', p_keep_dead, false);
    perform pgq._check_interval('unknown_task_after', p_unknown_task_after, false);
    foreach v_name in array v_reset loop
        if v_name is null or v_name <> all (v_names) then
            perform pgq._refuse(
                'PQ005',
                'bad p_reset',
                format('p_reset names %s; expected names among %s.',
                       coalesce(quote_literal(left(v_name, 100)), 'null'), array_to_string(v_names, ', ')),
                'Correct the name: no setting was changed.'
            );
        end if;
    end loop;
    insert into pgq.queue (queue) values (p_queue) on conflict do nothing;
    update pgq.queue q
    set max_attempts = coalesce(
            p_max_attempts, case when 'max_attempts' <> all (v_reset) then q.max_attempts end),
        timeout = coalesce(
            p_timeout, case when 'timeout' <> all (v_reset) then q.timeout end),
        backoff_base = coalesce(
            p_backoff_base, case when 'backoff_base' <> all (v_reset) then q.backoff_base end),
        backoff_max = coalesce(
            p_backoff_max, case when 'backoff_max' <> all (v_reset) then q.backoff_max end),
        payload_limit = coalesce(
            p_payload_limit, case when 'payload_limit' <> all (v_reset) then q.payload_limit end),
        keep_finished = coalesce(
            p_keep_finished, case when 'keep_finished' <> all (v_reset) then q.keep_finished end),
        keep_dead = coalesce(
            p_keep_dead, case when 'keep_dead' <> all (v_reset) then q.keep_dead end),
        unknown_task_after = coalesce(
            p_unknown_task_after,
            case when 'unknown_task_after' <> all (v_reset) then q.unknown_task_after end)
    where q.queue = p_queue;
end
$$;
comment on function pgq.configure_queue is
    'Sets what a queue has of its own, also before its first job. Null leaves as is; names in p_reset go back to the service''s value, unless one is given too. PQ005: a value makes no sense.';
select pgq._allow('configure_queue', 'pgq_operator');
