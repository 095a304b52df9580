create or replace function pgq.prune(p_limit integer default 5000)
returns bigint
language sql
security definer
set search_path = ''
as $$
    select pgq._alone('prune', format('select pgq._prune(%s)', coalesce(p_limit, 5000)))
$$;
comment on function pgq.prune is
    'Upkeep: deletes finished jobs and dead letters that have been kept for long enough, answers to requests after 24 hours, samples after 48 and tokens 30 days after they were revoked or expired, at most p_limit of each, and drops whole days when the transaction commits; how many jobs it deleted one by one.';
select pgq._allow('prune', 'pgq_worker', 'pgq_operator');

create or replace function pgq._prune(p_limit integer)
returns bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_n  bigint;
begin
    v_n := pgq._prune_dead(p_limit) + pgq._prune_finished(p_limit);
    -- Before days are entered, which are emptied at commit only.
    v_n := v_n + pgq._prune_expired(p_limit);
    if pgq._is_due('expire', interval '10 minutes') then
        perform pgq._expire_days();
    end if;
    if pgq._is_due('trim', interval '10 seconds') then
        perform pgq._trim();
    end if;
    perform pgq._prune_service(p_limit);
    return v_n;
end
$$;
comment on function pgq._prune is 'A round of pgq.prune.';
select pgq._allow('_prune');

create or replace function pgq._prune_dead(p_limit integer)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_ids     bigint[];
    -- Those that any queue may still want to keep are not looked at.
    v_before  timestamptz := clock_timestamp() - (
        select least(s.keep_dead, min(q.keep_dead))
        from pgq.setting s
        left join pgq.queue q on true
        group by s.keep_dead
    );
begin
    with old as (
        delete from pgq.dead d
        where d.job_id = any (array(
            select x.job_id
            from pgq.dead x
            where x.died_at < v_before
                and x.died_at < clock_timestamp() - (
                    select s.keep_dead
                    from pgq.lane l
                    cross join lateral pgq._settings(l.queue) s
                    where l.lane = x.lane
                    limit 1
                )
            order by x.died_at
            limit p_limit
            for update skip locked
        ))
        returning d.job_id, d.lane
    ),
    counted as (
        insert into pgq.tally (queue, metric, label, n)
        select q.queue, 'transition', 'dead>', sum(c.n)
        from (select o.lane, count(*) as n from old o group by o.lane) c
        cross join lateral (
            select l.queue from pgq.lane l where l.lane = c.lane order by l.id limit 1
        ) q
        group by q.queue
    )
    select array_agg(o.job_id) into v_ids from old o;
    perform pgq._erase(v_ids);
    return coalesce(cardinality(v_ids), 0);
end
$$;
comment on function pgq._prune_dead is 'Deletes dead letters that were kept for as long as their queue says.';
select pgq._allow('_prune_dead');

create or replace function pgq._prune_service(p_limit integer)
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
    delete from pgq.request r
    where r.ctid = any (array(
        select x.ctid
        from pgq.request x
        where x.at < clock_timestamp() - interval '24 hours'
        order by x.at
        limit p_limit
        for update skip locked
    ));
    delete from pgq.sample s
    where s.ctid = any (array(
        select x.ctid
        from pgq.sample x
        where x.at < clock_timestamp() - interval '48 hours'
        order by x.at
        limit p_limit
        for update skip locked
    ));
    if pgq._is_due('tokens', interval '10 minutes') then
        delete from pgq.token t
        where t.ctid = any (array(
            select x.ctid
            from pgq.token x
            where least(x.revoked_at, x.expires_at) < clock_timestamp() - interval '30 days'
            order by x.id
            limit p_limit
            for update skip locked
        ));
    end if;
end
$$;
comment on function pgq._prune_service is
    'Deletes what the service keeps for a while: answers to requests, samples of the counters, and tokens that are no longer valid.';
select pgq._allow('_prune_service');

create or replace function pgq._prune_finished(p_limit integer)
returns bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_shortest  interval;
    v_longest   interval;
    v_after     bigint;
    v_row       record;
    v_ids       bigint[] := '{}';
    v_seen      integer := 0;
    v_last      bigint;
    v_n         bigint := 0;
begin
    select
        least(s.keep_finished, min(q.keep_finished)), greatest(s.keep_finished, max(q.keep_finished))
    into v_shortest, v_longest
    from pgq.setting s
    left join pgq.queue q on true
    group by s.keep_finished;
    -- One retention for all is done by dropping days.
    if v_shortest = v_longest and v_shortest >= interval '1 day' then
        return 0;
    end if;
    v_after := pgq._swept_to('prune');
    for v_row in
        select
            f.job_id,
            f.finished_at < clock_timestamp() - coalesce((
                select q.keep_finished
                from pgq.lane l
                join pgq.queue q on q.queue = l.queue
                where l.lane = f.lane
                limit 1
            ), s.keep_finished) as old
        from pgq.finished f
        cross join pgq.setting s
        where f.job_id > v_after
        order by f.job_id
        limit p_limit
    loop
        v_seen := v_seen + 1;
        v_last := v_row.job_id;
        if v_row.old then
            v_ids := v_ids || v_row.job_id;
        end if;
    end loop;
    insert into pgq.cursor (stream, value)
    values ('prune', case when v_seen < p_limit then 0 else v_last end);
    for v_row in
        select min(i.id) as low, max(i.id) as high, array_agg(i.id) as ids
        from unnest(v_ids) i (id)
        group by i.id >> 32
    loop
        -- Not those that somebody retries at this moment.
        with old as (
            delete from pgq.finished f
            where f.job_id = any (array(
                    select x.job_id
                    from pgq.finished x
                    where x.job_id = any (v_row.ids)
                        and x.job_id between v_row.low and v_row.high
                    for update skip locked
                ))
                and f.job_id between v_row.low and v_row.high
            returning f.job_id
        )
        select array_agg(o.job_id) into v_ids from old o;
        perform pgq._erase(v_ids);
        v_n := v_n + coalesce(cardinality(v_ids), 0);
    end loop;
    return v_n;
end
$$;
comment on function pgq._prune_finished is
    'Where queues differ in how long they keep finished jobs: reads on through a slice of them, and deletes those that are old.';
select pgq._allow('_prune_finished');

create or replace function pgq._day_is_live(p_day integer)
returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (
            select from pgq.ready r
            where r.job_id >= p_day::bigint << 32 and r.job_id < (p_day + 1)::bigint << 32
        )
        or exists (
            select from pgq.delayed d
            where d.job_id >= p_day::bigint << 32 and d.job_id < (p_day + 1)::bigint << 32
        )
        or exists (
            select from pgq.lease l
            where l.job_id >= p_day::bigint << 32 and l.job_id < (p_day + 1)::bigint << 32
        )
        or exists (
            select from pgq.dead d
            where d.job_id >= p_day::bigint << 32 and d.job_id < (p_day + 1)::bigint << 32
        )
$$;
comment on function pgq._day_is_live is 'Whether a job of this day is unfinished or a dead letter.';
select pgq._allow('_day_is_live');

create or replace function pgq._expire_days()
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_keep_finished  interval;
    v_keep           interval;
    v_day            integer;
    v_young          boolean;
begin
    select
        greatest(s.keep_finished, max(q.keep_finished)),
        greatest(s.keep_finished, max(q.keep_finished), s.keep_dead, max(q.keep_dead))
    into v_keep_finished, v_keep
    from pgq.setting s
    left join pgq.queue q on true
    group by s.keep_finished, s.keep_dead;
    for v_day in
        select (c.relname::text::date - date '1970-01-01')
        from (
            select substring(c.relname from '[0-9]{8}$') as relname
            from pg_catalog.pg_inherits i
            join pg_catalog.pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'pgq.job'::regclass
        ) c
        order by 1
    loop
        exit when (v_day + 1) * interval '1 day' + v_keep_finished
            > (clock_timestamp() at time zone 'UTC') - timestamp 'epoch';
        continue when v_day = (select (s.last_value >> 32)::integer from pgq.job_id_seq s)
            or exists (select from pgq.expired_day e where e.day = v_day and pgq._day_is_live(v_day));
        -- Ids may have gone on in this day while no upkeep ran, and jobs may have ended late.
        execute format(
            'select exists (select from pgq.%I f where f.finished_at > $1) '
            'or exists (select from pgq.%I a where a.ended_at > $2) '
            'or exists (select from pgq.%I g where g.at > $2)',
            pgq._partition_name('finished', v_day),
            pgq._partition_name('attempt', v_day),
            pgq._partition_name('log', v_day)
        )
        into v_young
        using clock_timestamp() - v_keep_finished, clock_timestamp() - v_keep;
        if not v_young then
            delete from pgq.expired_day e
            where e.ctid = any (array(
                select x.ctid from pgq.expired_day x where x.day = v_day for update skip locked
            ));
            insert into pgq.expired_day (day) values (v_day);
            insert into pgq.cursor (stream, value) values ('expired', 0);
        end if;
    end loop;
end
$$;
comment on function pgq._expire_days is
    'Enters the days whose youngest row is older than any queue keeps it; pgq._drop_day does the rest at commit.';
select pgq._allow('_expire_days');

create or replace function pgq._prune_expired(p_limit integer)
returns bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_day    integer;
    v_after  bigint;
    v_ids    bigint[];
    v_last   bigint;
    v_seen   bigint;
begin
    v_after := pgq._swept_to('expired');
    select e.day
    into v_day
    from pgq.expired_day e
    where (e.day + 1)::bigint << 32 > v_after
    order by e.day
    limit 1;
    if not found then
        return 0;
    end if;
    select
        max(j.id),
        count(*),
        array_agg(j.id) filter (where
            coalesce(
                (select r.job_id from pgq.ready r where r.job_id = j.id),
                (select d.job_id from pgq.delayed d where d.job_id = j.id),
                (select l.job_id from pgq.lease l where l.job_id = j.id),
                (select d.job_id from pgq.dead d where d.job_id = j.id),
                (
                    select f.job_id
                    from pgq.finished f
                    where f.job_id = j.id
                        and f.job_id >= v_day::bigint << 32 and f.job_id < (v_day + 1)::bigint << 32
                )
            ) is null
        )
    into v_last, v_seen, v_ids
    from (
        select j.id
        from pgq.job j
        where j.id > greatest(v_after, v_day::bigint << 32)
            and j.id < (v_day + 1)::bigint << 32
        order by j.id
        limit p_limit
    ) j;
    insert into pgq.cursor (stream, value)
    values ('expired', case when v_seen < p_limit then (v_day + 1)::bigint << 32 else v_last end);
    perform pgq._erase(v_ids);
    return coalesce(cardinality(v_ids), 0);
end
$$;
comment on function pgq._prune_expired is
    'Of expired days in which some job lives on: deletes the jobs that ended, a slice at a time.';
select pgq._allow('_prune_expired');

create or replace function pgq._trim()
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_old   timestamptz := clock_timestamp() - interval '2 minutes';
    -- pgq.reap looks for the last mark that is older than two heartbeats.
    v_mark  timestamptz := v_old - 2 * (select s.heartbeat from pgq.setting s);
begin
    delete from pgq.floor f
    where f.ctid = any (array(
        select x.ctid
        from pgq.floor x
        where x.at < v_old
            and exists (select from pgq.floor y where y.lane = x.lane and y.floor > x.floor)
        limit 50000
        for update skip locked
    ));
    delete from pgq.mark m
    where m.ctid = any (array(
        select x.ctid
        from pgq.mark x
        where x.noted_at < v_mark
            and exists (
                select from pgq.mark y where y.stream = x.stream and y.id > x.id and y.noted_at < v_mark
            )
        limit 50000
        for update skip locked
    ));
    delete from pgq.cursor c
    where c.ctid = any (array(
        select x.ctid
        from pgq.cursor x
        where x.at < v_old
            and exists (
                select from pgq.cursor y where y.stream = x.stream and y.id > x.id and y.at < v_old
            )
        limit 50000
        for update skip locked
    ));
    delete from pgq.lease_clock c
    where c.ctid = any (array(
        select x.ctid
        from pgq.lease_clock x
        where x.at < v_old
            and exists (select from pgq.lease_clock y where y.id > x.id)
        limit 50000
        for update skip locked
    ));
    delete from pgq.waiter w
    where w.ctid = any (array(
        select x.ctid
        from pgq.waiter x
        where x.entered_at < now() - interval '20 seconds'
        limit 50000
        for update skip locked
    ));
    delete from pgq.cancel_request c
    where c.ctid = any (array(
        select x.ctid
        from pgq.cancel_request x
        where x.requested_at < v_old
            and not exists (
                select from pgq.lease l where l.job_id = x.job_id and l.token = x.token
            )
        limit 50000
        for update skip locked
    ));
    delete from pgq.drain_request d
    where d.ctid = any (array(
        select x.ctid
        from pgq.drain_request x
        where not exists (select from pgq.worker w where w.id = x.worker)
        limit 1000
        for update skip locked
    ));
    delete from pgq.worker w
    where w.ctid = any (array(
        select x.ctid
        from pgq.worker x
        where x.state = 'offline'
            and x.heartbeat_at < clock_timestamp() - interval '1 day'
            and not exists (select from pgq.long_lease g where g.worker = x.id)
        limit 1000
        for update skip locked
    ));
    delete from pgq.operation o
    where o.ctid = any (array(
        select x.ctid
        from pgq.operation x
        where x.finished_at < clock_timestamp() - interval '30 days'
        limit 1000
        for update skip locked
    ));
end
$$;
comment on function pgq._trim is
    'Deletes what has served: floors, marks, cursors, ticks, waiters and cancellations that nobody reads any more, drains of workers that went, workers gone for a day, and operations that ended 30 days ago.';
select pgq._allow('_trim');
