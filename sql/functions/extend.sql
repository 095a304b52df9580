create or replace function pgq.extend(
    p_id     bigint,
    p_token  uuid,
    p_lease  interval default null
)
returns timestamptz
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_clock    timestamptz := pgq._clock();
    v_expires  timestamptz;
begin
    if p_lease <= interval '0' then
        perform pgq._refuse(
            'PQ005',
            format('bad lease for job %s', p_id),
            format('lease is %L; expected more than 0.', p_lease),
            'Correct the call: the lease is as it was.'
        );
    end if;
    update pgq.lease l
    set expires_at = v_clock + coalesce(p_lease, s.lease)
    from pgq.setting s
    where l.job_id = p_id
        and l.token = p_token
        and l.expires_at > v_clock
    returning l.expires_at into v_expires;
    if not found then
        if exists (
            select from pgq.lease l where l.job_id = p_id and l.token = p_token and l.expires_at is null
        ) then
            perform pgq._refuse(
                'PQ003',
                format('cannot extend job %s: its worker''s heartbeat holds the lease', p_id),
                'Only a lease that was claimed with one of its own can be extended.',
                'Send the heartbeat.'
            );
        end if;
        perform pgq._refuse_lease(p_id, 'extend');
    end if;
    return v_expires;
end
$$;
comment on function pgq.extend is
    'Moves the expiry of a lease that has its own to p_lease from now (the service''s lease by default), on the lease clock. PQ001 when it is no longer this token''s or has run out.';
select pgq._allow('extend', 'pgq_worker');
