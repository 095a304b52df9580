create or replace function pgq.cancel(
    p_id      bigint,
    p_token   uuid  default null,
    p_reason  text  default null
)
returns text
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_lane      bigint;
    v_attempt   integer;
    v_has_key   boolean;
    v_state     text;
    v_worker    bigint;
    v_executor  integer;
    v_token     uuid;
    v_lease     pgq.lease;
begin
    if p_token is not null then
        delete from pgq.lease l
        where l.job_id = p_id
            and l.token = p_token
        returning l.* into v_lease;
        if found then
            perform pgq._cancel_lease(v_lease, p_reason);
        elsif not exists (
            select
            from pgq.finished f
            where f.job_id = p_id
                and f.token = p_token
                and f.outcome = 'cancelled'
        ) then
            perform pgq._refuse_lease(p_id, 'cancel');
        end if;
        return 'cancelled';
    end if;
    -- A job that moves meanwhile is found where it went, so each place is looked at twice.
    for v_round in 1 .. 2 loop
        delete from pgq.delayed d
        where d.ctid = any (array(
            select x.ctid from pgq.delayed x where x.job_id = p_id for update skip locked
        ))
        returning d.lane, d.attempt, d.has_key, pgq._delayed_state(d.why)
        into v_lane, v_attempt, v_has_key, v_state;
        exit when found;

        delete from pgq.ready r
        where r.ctid = any (array(
            select x.ctid from pgq.ready x where x.job_id = p_id for update skip locked
        ))
        returning r.lane, r.attempt, r.has_key, 'ready'
        into v_lane, v_attempt, v_has_key, v_state;
        exit when found;

        -- Shared, so that several may ask; held to the end of the transaction, so that whoever ends
        -- the attempt sees the request.
        select l.worker, l.executor, l.token
        into v_worker, v_executor, v_token
        from pgq.lease l
        where l.job_id = p_id
        for key share skip locked;
        if found then
            perform pgq._request_cancel(p_id, v_worker, v_executor, v_token);
            return 'requested';
        end if;
    end loop;
    if v_state is null then
        if exists (
            select from pgq.finished f where f.job_id = p_id and f.outcome = 'cancelled'
        ) then
            return 'cancelled';
        end if;
        perform pgq._refuse_state(p_id, 'cancel', array['scheduled', 'ready', 'retrying', 'running']);
    end if;
    insert into pgq.finished (job_id, lane, outcome, attempt)
    values (p_id, v_lane, 'cancelled', v_attempt);
    if v_has_key then
        perform pgq._free_keys(array[p_id]);
    end if;
    perform pgq._count(v_lane, 'transition', v_state || '>cancelled');
    return 'cancelled';
end
$$;
comment on function pgq.cancel is
    'Cancels a job: at once when it waits (cancelled), by a request that its worker is told of when it runs (requested). With the token of its lease, the holder ends it as cancelled, and p_reason is kept with the attempt. Repeating it is no error. PQ001: the lease is lost. PQ003: it has succeeded or is dead. PQ007: somebody else is moving it.';
select pgq._allow('cancel', 'pgq_worker', 'pgq_operator');
