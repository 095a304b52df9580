create or replace function pgq.reap(p_limit integer default 1000)
returns integer
language sql
security definer
set search_path = ''
as $$
    select pgq._alone('reap', format('select pgq._reap(%s)', coalesce(p_limit, 1000)))::integer
$$;
comment on function pgq.reap is
    'Upkeep: moves the lease clock, and makes jobs ready again whose worker was lost or whose lease ran out, and ends attempts that outlived their timeout; how many, at most p_limit of each.';
select pgq._allow('reap', 'pgq_worker', 'pgq_operator');

create or replace function pgq._reap(p_limit integer)
returns bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    v_tick   pgq.lease_clock;
    v_step   interval;
    v_most   interval;
    v_gap    boolean;
    v_id     bigint;
    v_job    record;
    v_n      bigint := 0;
begin
    select c.* into v_tick from pgq.lease_clock c order by c.id desc limit 1;
    v_step := clock_timestamp() - v_tick.at;
    -- A step never takes so much of a lease that who sends heartbeats could lose it.
    select least(interval '2 seconds', s.lease / 2) into v_most from pgq.setting s;
    -- After a gap nobody could send a heartbeat: who is found expired is not to blame.
    v_gap := v_step not between interval '0' and v_most;
    v_step := least(greatest(v_step, interval '0'), v_most);
    v_tick.clock := v_tick.clock + v_step;
    insert into pgq.lease_clock (at, clock) values (clock_timestamp(), v_tick.clock);

    perform pgq._enter_long_leases(v_tick.clock);

    for v_id in
        select w.id
        from pgq.worker w
        where w.expires_at <= v_tick.clock
            and w.state <> 'offline'
        order by w.id
        limit 100
        for update skip locked
    loop
        update pgq.worker w set state = 'offline' where w.id = v_id;
        update pgq.long_lease g
        set check_at = v_tick.clock
        where g.ctid = any (array(
            select x.ctid from pgq.long_lease x where x.worker = v_id for update skip locked
        ));
        insert into pgq.tally (queue, metric, label, n) values ('', 'worker', 'expired', 1);
    end loop;

    for v_job in
        select d.*
        from (
            select g.job_id, g.token
            from pgq.long_lease g
            where g.check_at <= v_tick.clock
            order by g.check_at
            limit p_limit
        ) d
        union
        -- Those with an expiry of their own may be short.
        select d.job_id, d.token
        from (
            select l.job_id, l.token
            from pgq.lease l
            where l.expires_at <= v_tick.clock
            order by l.expires_at
            limit p_limit
        ) d
        order by 1
    loop
        v_n := v_n + pgq._check_lease(v_job.job_id, v_job.token, v_tick.clock, not v_gap);
    end loop;
    return v_n;
end
$$;
comment on function pgq._reap is 'A round of pgq.reap.';
select pgq._allow('_reap');

create or replace function pgq._check_lease(
    p_job_id  bigint,
    p_token   uuid,
    p_clock   timestamptz,
    p_charge  boolean
)
returns integer
language plpgsql
set search_path = ''
as $$
declare
    v_lease  pgq.lease;
    v_alive  boolean;
begin
    select l.* into v_lease from pgq.lease l where l.job_id = p_job_id and l.token = p_token;
    if found then
        v_alive := v_lease.expires_at is not null or exists (
            select from pgq.worker w where w.id = v_lease.worker and w.state <> 'offline'
        );
        if v_alive and not coalesce(v_lease.expires_at <= p_clock or v_lease.overdue_at <= p_clock, false) then
            update pgq.long_lease g
            set check_at = pgq._next_check(v_lease, p_clock)
            where g.ctid = any (array(
                select x.ctid
                from pgq.long_lease x
                where x.job_id = p_job_id
                    and x.token = p_token
                    and x.worker = v_lease.worker
                for update skip locked
            ));
            return 0;
        end if;
        -- Skipped when its holder is completing it in a transaction that is open.
        select l.*
        into v_lease
        from pgq.lease l
        where l.job_id = p_job_id
            and l.token = p_token
        for update skip locked;
        if not found then
            return 0;
        end if;
        if v_alive and v_lease.overdue_at <= p_clock and (v_lease.expires_at > p_clock) is not false then
            perform pgq.fail_many(
                p_ids => array[p_job_id],
                p_tokens => array[p_token],
                p_messages => array['it outlived its timeout, and its worker did not end it'],
                p_reasons => array['timeout']
            );
        else
            delete from pgq.lease l where l.job_id = p_job_id;
            perform pgq._put_back(v_lease, 'lost', p_charge);
            perform pgq._count(v_lease.lane, 'lease', 'expired');
        end if;
    end if;
    delete from pgq.long_lease g
    where g.ctid = any (array(
        select x.ctid
        from pgq.long_lease x
        where x.job_id = p_job_id
            and x.token = p_token
        for update skip locked
    ));
    return (v_lease.job_id is not null)::integer;
end
$$;
comment on function pgq._check_lease is
    'Ends a lease that ran out or outlived its timeout, or says when to look at it again; 1 when it ended one.';
select pgq._allow('_check_lease');

create or replace function pgq._enter_long_leases(p_clock timestamptz)
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_floor      bigint := pgq._lease_floor();
    v_until      bigint;
    v_next       bigint;
    v_straggler  pgq.straggler;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        return;
    end if;
    perform pgq._settle_mark('lease');
    -- Two heartbeats ago it was settled up to here: what is left below is long.
    select m.settled
    into v_until
    from pgq.mark m
    where m.stream = 'lease'
        and m.noted_at < clock_timestamp() - 2 * (select s.heartbeat from pgq.setting s)
    order by m.id desc
    limit 1;
    if v_until >= v_floor then
        with chosen as materialized (
            select l.*
            from pgq.lease l
            where l.seq >= v_floor
                and l.seq <= v_until
            order by l.seq
            limit 10000
        ),
        entered as (
            insert into pgq.long_lease (job_id, token, worker, check_at)
            select c.job_id, c.token, c.worker, pgq._next_check(c, p_clock)
            from chosen c
        )
        select case when count(*) = 10000 then max(c.seq) else v_until end + 1
        into v_floor
        from chosen c;
        insert into pgq.cursor (stream, value) values ('lease', v_floor);
    end if;
    for v_straggler in
        select s.*
        from pgq.straggler s
        where s.stream = 'lease'
            and s.to_seq is not null
        order by s.id
        limit 10
        for update skip locked
    loop
        v_next := least(v_straggler.from_seq + 100000, v_straggler.to_seq);
        insert into pgq.long_lease (job_id, token, worker, check_at)
        select l.job_id, l.token, l.worker, pgq._next_check(l, p_clock)
        from pgq.lease l
        where l.seq between v_straggler.from_seq and v_next
            and l.seq < v_floor
            and not exists (
                select
                from pgq.long_lease g
                where g.worker = l.worker
                    and g.job_id = l.job_id
                    and g.token = l.token
            );
        if v_next >= v_straggler.to_seq then
            delete from pgq.straggler s where s.id = v_straggler.id;
        else
            update pgq.straggler s set from_seq = v_next + 1 where s.id = v_straggler.id;
        end if;
    end loop;
end
$$;
comment on function pgq._enter_long_leases is
    'Enters leases older than two heartbeats in long_lease, by reading on from where the last round stopped.';
select pgq._allow('_enter_long_leases');

create or replace function pgq._next_check(p_lease pgq.lease, p_clock timestamptz)
returns timestamptz
language sql
stable
set search_path = ''
as $$
    select case
        when p_lease.expires_at is null
            and not exists (
                select from pgq.worker w where w.id = p_lease.worker and w.state <> 'offline'
            )
        then p_clock
        else coalesce(
            least(p_lease.overdue_at, p_lease.expires_at), p_clock + interval '1 minute'
        )
    end
$$;
comment on function pgq._next_check is 'When upkeep is to look at a long lease again, on the lease clock.';
select pgq._allow('_next_check');
