create or replace function pgq.configure(
    p_lease               interval  default null,
    p_heartbeat           interval  default null,
    p_poll                interval  default null,
    p_max_attempts        integer   default null,
    p_max_crashes         integer   default null,
    p_timeout             interval  default null,
    p_backoff_base        interval  default null,
    p_backoff_max         interval  default null,
    p_payload_limit       integer   default null,
    p_result_limit        integer   default null,
    p_keep_finished       interval  default null,
    p_keep_dead           interval  default null,
    p_unknown_task_after  interval  default null,
    p_solo_children       integer   default null
)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_setting pgq.setting;
begin
    perform pgq._check_interval('lease', p_lease, true);
    perform pgq._check_interval('heartbeat', p_heartbeat, true);
    perform pgq._check_interval('poll', p_poll, true);
    perform pgq._check_count('max_attempts', p_max_attempts, 32767);
    perform pgq._check_count('max_crashes', p_max_crashes, 32767);
    perform pgq._check_interval('timeout', p_timeout, true);
    perform pgq._check_interval('backoff_base', p_backoff_base, false);
    perform pgq._check_interval('backoff_max', p_backoff_max, false);
    perform pgq._check_count('payload_limit', p_payload_limit, 1073741823);
    perform pgq._check_count('result_limit', p_result_limit, 1073741823);
    perform pgq._check_interval('keep_finished', p_keep_finished, false);
    perform pgq._check_interval('keep_dead', p_keep_dead, false);
    perform pgq._check_interval('unknown_task_after', p_unknown_task_after, false);
    perform pgq._check_count('solo_children', p_solo_children, 1000);
    select s.* into v_setting from pgq.setting s for update;
    v_setting.lease := coalesce(p_lease, v_setting.lease);
    v_setting.heartbeat := coalesce(p_heartbeat, v_setting.heartbeat);
    if v_setting.lease <= 2 * v_setting.heartbeat then
        perform pgq._refuse(
            'PQ005',
            'bad lease',
            format('lease is %L and heartbeat is %L; expected a lease of more than two heartbeats.',
                   v_setting.lease, v_setting.heartbeat),
            'Correct one of them: no setting was changed.'
        );
    end if;
    update pgq.setting s
    set lease = v_setting.lease,
        heartbeat = v_setting.heartbeat,
        poll = coalesce(p_poll, s.poll),
        max_attempts = coalesce(p_max_attempts, s.max_attempts),
        max_crashes = coalesce(p_max_crashes, s.max_crashes),
        timeout = coalesce(p_timeout, s.timeout),
        backoff_base = coalesce(p_backoff_base, s.backoff_base),
        backoff_max = coalesce(p_backoff_max, s.backoff_max),
        payload_limit = coalesce(p_payload_limit, s.payload_limit),
        result_limit = coalesce(p_result_limit, s.result_limit),
        keep_finished = coalesce(p_keep_finished, s.keep_finished),
        keep_dead = coalesce(p_keep_dead, s.keep_dead),
        unknown_task_after = coalesce(p_unknown_task_after, s.unknown_task_after),
        solo_children = coalesce(p_solo_children, s.solo_children);
end
$$;
comment on function pgq.configure is
    'Sets the service''s values, which hold where neither a queue nor a job has its own; null leaves as is. Workers take lease, heartbeat and poll when they register. PQ005: a value makes no sense.';
select pgq._allow('configure', 'pgq_admin');
