create or replace function pgq.snooze(
    p_id     bigint,
    p_token  uuid,
    p_delay  interval
)
returns timestamptz
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_lease   pgq.lease;
    v_run_at  timestamptz := clock_timestamp() + p_delay;
begin
    if not coalesce(p_delay >= interval '0', false) then
        perform pgq._refuse(
            'PQ005',
            format('bad delay for job %s', p_id),
            format('delay is %L; expected 0 or more.', p_delay),
            'Correct the call: the job is still leased.'
        );
    end if;
    delete from pgq.lease l
    where l.job_id = p_id
        and l.token = p_token
    returning l.* into v_lease;
    if not found then
        perform pgq._refuse_lease(p_id, 'snooze');
    end if;
    if pgq._cancel_wanted(v_lease) then
        perform pgq._cancel_lease(v_lease);
        return null;
    end if;
    insert into pgq.delayed (run_at, job_id, lane, attempt, crashes, suspect, has_key, why)
    values (
        v_run_at, p_id, v_lease.lane, v_lease.attempt - 1, v_lease.crashes, v_lease.suspect,
        v_lease.has_key, 'snooze'
    );
    perform pgq._count(v_lease.lane, 'transition', 'running>scheduled');
    return v_run_at;
end
$$;
comment on function pgq.snooze is
    'Puts a running job off, uncharged; returns when it is due, null when it was cancelled instead because somebody had asked for that. PQ001 when the lease is no longer this token''s.';
select pgq._allow('snooze', 'pgq_worker');
