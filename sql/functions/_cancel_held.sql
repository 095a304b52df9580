create or replace function pgq._cancel_held(p_id bigint, p_token uuid, p_reason text)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_lease pgq.lease;
begin
    delete from pgq.lease l
    where l.job_id = p_id
        and l.token = p_token
    returning l.* into v_lease;
    if not found then
        if exists (
            select
            from pgq.finished f
            where f.job_id = p_id
                and f.token = p_token
                and f.outcome = 'cancelled'
        ) then
            return;
        end if;
        perform pgq._refuse(
            'PQ001',
            format('the lease of job %s is lost: cannot cancel it', coalesce(p_id::text, 'null')),
            format('It is not held with token %s.', p_token),
            'Drop the job: it runs elsewhere or has ended.'
        );
    end if;
    insert into pgq.finished (job_id, lane, outcome, token, attempt, worker, started_at)
    values (
        p_id, v_lease.lane, 'cancelled', p_token, v_lease.attempt, v_lease.worker, v_lease.started_at
    );
    insert into pgq.attempt (
        job_id, attempt, token, worker, executor, claimed_at, started_at, reason, charged, message
    )
    values (
        p_id,
        v_lease.attempt,
        p_token,
        v_lease.worker,
        v_lease.executor,
        v_lease.claimed_at,
        v_lease.started_at,
        'cancelled',
        false,
        p_reason
    );
    delete from pgq.cancel_request c where c.job_id = p_id and c.token = p_token;
    if v_lease.has_key then
        perform pgq._free_keys(array[p_id]);
    end if;
    perform pgq._count(v_lease.lane, 'transition', 'running>cancelled');
end
$$;
comment on function pgq._cancel_held is
    'Ends a running job as cancelled for the holder of its lease; repeated with the same token it succeeds. PQ001: the lease is lost.';
select pgq._allow('_cancel_held');
