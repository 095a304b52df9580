create or replace function pgq._settle(p_lanes bigint[] default null)
returns bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_mark   bigint;
    v_lane   bigint;
    v_floor  pgq.floor;
    v_row    record;
    v_next   bigint;
    v_moved  bigint := 0;
    v_after  bigint;
    v_last   bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        return 0;
    end if;
    v_mark := pgq._settle_mark('ready');
    if p_lanes is null then
        perform pgq._reseat();
        -- All lanes, a slice at a time; those that are claimed from come more often by pgq.claim.
        v_after := pgq._swept_to('settle');
        select array_agg(distinct s.lane), max(s.id), count(*)
        into p_lanes, v_last, v_next
        from (select l.id, l.lane from pgq.lane l where l.id > v_after order by l.id limit 500) s;
        if v_next < 500 then
            v_last := 0;
        end if;
        if v_last <> v_after then
            insert into pgq.cursor (stream, value) values ('settle', v_last);
        end if;
    end if;
    if v_mark is null then
        return 0;
    end if;
    -- The floors below may pass rows of these. Whoever resolves one that has ended must know while this
    -- transaction is open, because then it cannot see those floors.
    perform from pgq.straggler s where s.stream = 'ready' and s.to_seq is null for key share skip locked;
    foreach v_lane in array coalesce(p_lanes, '{}') loop
        select f.* into v_floor from pgq.floor f where f.lane = v_lane order by f.floor desc limit 1;
        v_floor.floor := coalesce(v_floor.floor, 0);
        select r.seq, r.xmax::text <> '0' as touched
        into v_row
        from pgq.ready r
        where r.lane = v_lane
            and r.seq >= v_floor.floor
            and r.seq <= v_mark
        order by r.seq
        limit 1;
        v_next := coalesce(v_row.seq, v_mark + 1);
        -- A row that someone has taken and not committed holds the floor for so long, not longer.
        if v_row.touched and v_next = v_floor.floor
            and v_floor.at < clock_timestamp() - interval '250 milliseconds'
        then
            v_next := pgq._pass(v_lane, v_floor.floor, v_mark);
        end if;
        -- A floor a little too low costs little; each one that is noted, a row.
        if v_next > v_floor.floor + 500
            or (v_next > v_floor.floor
                and coalesce(v_floor.at < clock_timestamp() - interval '1 second', true))
        then
            insert into pgq.floor (lane, floor) values (v_lane, v_next);
            v_moved := v_moved + 1;
        end if;
    end loop;
    return v_moved;
end
$$;
comment on function pgq._settle is
    'Moves the floors of these lanes, or of the next slice of all, to their lowest live seq up to the settled mark, or past the mark; how many moved.';
select pgq._allow('_settle');

create or replace function pgq._pass(p_lane bigint, p_floor bigint, p_mark bigint)
returns bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_lockable  bigint;
    v_passed    bigint;
    v_count     integer;
begin
    -- Locked only to see whether it can be: undone at once, so that nobody finds it locked by us.
    begin
        select r.seq
        into v_lockable
        from pgq.ready r
        where r.lane = p_lane
            and r.seq >= p_floor
            and r.seq <= p_mark
        order by r.seq
        limit 1
        for update skip locked;
        raise exception using errcode = 'PQ999';
    exception
        when sqlstate 'PQ999' then
            null;
    end;
    with locked as (
        insert into pgq.passed (job_id, seq)
        select r.job_id, r.seq
        from pgq.ready r
        where r.lane = p_lane
            and r.seq >= p_floor
            and r.seq < coalesce(v_lockable, p_mark + 1)
        order by r.seq
        limit 5000
        returning seq
    )
    select max(l.seq), count(*) into v_passed, v_count from locked l;
    if v_count = 5000 then
        return v_passed + 1;
    end if;
    return coalesce(v_lockable, p_mark + 1);
end
$$;
comment on function pgq._pass is
    'The lowest seq of a lane from its floor to the mark that can be locked, or past the mark; the locked rows before it are written down.';
select pgq._allow('_pass');

create or replace function pgq._reseat()
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    v_straggler  pgq.straggler;
    v_relied_on  boolean;
    v_to         bigint;
    v_until      timestamptz := clock_timestamp() + interval '50 milliseconds';
begin
    -- Open claims: gone means forget, lockable means a new seq.
    delete from pgq.passed p
    where p.ctid = any (array(
        select d.ctid
        from pgq.passed d
        where (select r.job_id from pgq.ready r where r.job_id = d.job_id and r.seq = d.seq) is null
        limit 5000
        for update skip locked
    ));
    perform pgq._new_seq(array(
        select r.ctid
        from pgq.passed p
        cross join lateral (
            select r.ctid
            from pgq.ready r
            where r.job_id = p.job_id
                and r.seq = p.seq
            for update skip locked
        ) r
        limit 1000
    ));
    -- Stragglers: the range in which their rows lie, a window at a time.
    for v_straggler in
        select s.*
        from pgq.straggler s
        where s.stream = 'ready'
            and s.from_seq <= s.to_seq
        order by s.id
        limit 10
        for no key update skip locked
    loop
        -- A statement of its own, before the floors are read. While a transaction is open that may have
        -- passed this one's rows, all that it may have made get a new seq.
        perform from pgq.straggler s where s.id = v_straggler.id for update skip locked;
        v_relied_on := not found;
        loop
            v_to := least(v_straggler.from_seq + 20000, v_straggler.to_seq);
            insert into pgq.passed (job_id, seq)
            select r.job_id, r.seq
            from (select distinct l.lane from pgq.lane l) l
            left join lateral (
                select f.floor from pgq.floor f where f.lane = l.lane order by f.floor desc limit 1
            ) f on true
            cross join lateral (
                select r.job_id, r.seq
                from pgq.ready r
                where r.lane = l.lane
                    and r.seq between v_straggler.from_seq and v_to
                    and (v_relied_on or r.seq < f.floor)
                offset 0
            ) r;
            v_straggler.from_seq := v_to + 1;
            exit when v_to >= v_straggler.to_seq or clock_timestamp() > v_until;
        end loop;
        update pgq.straggler s set from_seq = v_straggler.from_seq where s.id = v_straggler.id;
    end loop;
    delete from pgq.straggler s
    where s.ctid = any (array(
        select d.ctid
        from pgq.straggler d
        where d.stream = 'ready'
            and d.from_seq > d.to_seq
        for update skip locked
    ));
    perform pgq._new_seq(array(
        select r.ctid
        from pgq.passed p
        cross join lateral (
            select r.ctid
            from pgq.ready r
            where r.job_id = p.job_id
                and r.seq = p.seq
            for update skip locked
        ) r
        limit 5000
    ));
end
$$;
comment on function pgq._reseat is
    'Gives new seqs to rows below a floor that stragglers and open claims have left there.';
select pgq._allow('_reseat');

create or replace function pgq._new_seq(p_rows tid[])
returns bigint
language sql
set search_path = ''
as $$
    with moved as (
        delete from pgq.ready r where r.ctid = any (p_rows) returning r.*
    ),
    seated as (
        insert into pgq.ready (lane, job_id, due_at, attempt, crashes, suspect, has_key, unknown_since)
        select m.lane, m.job_id, m.due_at, m.attempt, m.crashes, m.suspect, m.has_key, m.unknown_since
        from moved m
        order by m.seq
        returning 1
    )
    select count(*) from seated
$$;
comment on function pgq._new_seq is 'Puts these rows of ready, which the caller has locked, at the end of their lanes.';
select pgq._allow('_new_seq');
