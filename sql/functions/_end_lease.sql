create or replace function pgq._add_attempt(
    p_lease        pgq.lease,
    p_reason       text,
    p_charged      boolean,
    p_error_class  text default null,
    p_message      text default null,
    p_traceback    text default null
)
returns void
language sql
set search_path = ''
as $$
    insert into pgq.attempt (
        job_id, attempt, token, worker, executor, claimed_at, started_at, reason, charged, error_class,
        message, traceback
    )
    values (
        p_lease.job_id,
        p_lease.attempt,
        p_lease.token,
        p_lease.worker,
        p_lease.executor,
        p_lease.claimed_at,
        p_lease.started_at,
        p_reason,
        p_charged,
        left(p_error_class, 200),
        left(p_message, 10000),
        left(p_traceback, 100000)
    );
    select pgq._count(p_lease.lane, 'attempt', p_reason);
$$;
comment on function pgq._add_attempt is 'Records an attempt that did not end well.';
select pgq._allow('_add_attempt');

create or replace function pgq._cancel_lease(
    p_lease        pgq.lease,
    p_message      text default null,
    p_add_attempt  boolean default true
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into pgq.finished (job_id, lane, outcome, token, attempt, worker, started_at)
    values (
        p_lease.job_id, p_lease.lane, 'cancelled', p_lease.token, p_lease.attempt, p_lease.worker,
        p_lease.started_at
    );
    if p_add_attempt then
        perform pgq._add_attempt(p_lease, 'cancelled', false, null, p_message);
    end if;
    delete from pgq.cancel_request c where c.job_id = p_lease.job_id and c.token = p_lease.token;
    if p_lease.has_key then
        perform pgq._free_keys(array[p_lease.job_id]);
    end if;
    perform pgq._count(p_lease.lane, 'transition', 'running>cancelled');
end
$$;
comment on function pgq._cancel_lease is 'Ends a job as cancelled whose lease row the caller has deleted.';
select pgq._allow('_cancel_lease');

create or replace function pgq._cancel_wanted(p_lease pgq.lease)
returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (
        select
        from pgq.cancel_request c
        where c.job_id = p_lease.job_id
            and c.token = p_lease.token
    )
$$;
comment on function pgq._cancel_wanted is 'Whether somebody asked to cancel the job while it ran.';
select pgq._allow('_cancel_wanted');

create or replace function pgq._due_at(p_lease pgq.lease)
returns timestamptz
language plpgsql
immutable
set search_path = ''
as $$
begin
    return p_lease.claimed_at - make_interval(secs => p_lease.waited);
end
$$;
comment on function pgq._due_at is 'Since when the job could have started first.';
select pgq._allow('_due_at');

create or replace function pgq._put_back(
    p_lease   pgq.lease,
    p_reason  text default null,
    p_charge  boolean default true
)
returns text
language plpgsql
set search_path = ''
as $$
declare
    v_blamed   boolean := p_reason in ('lost', 'crashed');
    v_charged  boolean := coalesce(v_blamed and p_lease.suspect and p_charge, false);
    v_crashes  integer := p_lease.crashes + v_charged::integer;
    v_suspect  boolean := p_lease.suspect or coalesce(v_blamed, false);
    v_queue    record;
    v_message  text := case p_reason
        when 'crashed' then 'the process that ran it died'
        when 'lost' then 'its worker was not heard of any more'
    end;
begin
    if pgq._cancel_wanted(p_lease) then
        perform pgq._cancel_lease(p_lease);
        return 'cancelled';
    end if;
    if p_reason is not null then
        perform pgq._add_attempt(p_lease, p_reason, v_charged, null, v_message);
    end if;
    if v_charged and v_crashes >= (select s.max_crashes from pgq.setting s) then
        p_lease.attempt := p_lease.attempt - 1;
        p_lease.crashes := v_crashes;
        perform pgq._bury(array[p_lease], array['crashed'], array[null], array[v_message]);
        return 'dead';
    end if;
    select l.queue, l.priority, l.reserved
    into v_queue
    from pgq.lane l
    where l.lane = p_lease.lane
    order by l.id
    limit 1;
    insert into pgq.ready (lane, job_id, due_at, attempt, crashes, suspect, has_key, unknown_since)
    values (
        case
            when v_suspect and not p_lease.suspect
            then pgq._enter_lane(v_queue.queue, v_queue.priority, true, v_queue.reserved)
            else p_lease.lane
        end,
        p_lease.job_id,
        pgq._due_at(p_lease),
        p_lease.attempt - 1,
        v_crashes,
        v_suspect,
        p_lease.has_key,
        p_lease.unknown_since
    );
    perform pgq._count(p_lease.lane, 'transition', 'running>ready');
    return case when v_suspect and v_blamed then 'suspect' else 'ready' end;
end
$$;
comment on function pgq._put_back is
    'Makes a job ready again whose lease row the caller has deleted. Without a reason, or released: as it was, uncharged. Crashed or lost: as a suspect, and one that was a suspect already is charged a crash.';
select pgq._allow('_put_back');

create or replace function pgq._erase(p_ids bigint[])
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_day record;
begin
    -- Day by day, with bounds that prune partitions.
    for v_day in
        select min(i.id) as low, max(i.id) as high, array_agg(i.id) as ids
        from unnest(p_ids) i (id)
        group by i.id >> 32
    loop
        delete from pgq.log g
        where g.job_id = any (v_day.ids) and g.job_id between v_day.low and v_day.high;
        delete from pgq.attempt a
        where a.job_id = any (v_day.ids) and a.job_id between v_day.low and v_day.high;
        delete from pgq.job j
        where j.id = any (v_day.ids) and j.id between v_day.low and v_day.high;
    end loop;
end
$$;
comment on function pgq._erase is 'Deletes all that is kept of jobs whose state rows the caller has deleted.';
select pgq._allow('_erase');
