create or replace function pgq.claim(
    p_worker    bigint,
    p_executor  integer,
    p_token     uuid,
    p_queues    text[],
    p_limits    integer[],
    p_lease     interval default null,
    p_suspects  boolean  default null,
    p_limit     integer  default null,
    p_reserved  boolean  default false
)
returns table (
    id            bigint,
    queue         text,
    token         uuid,
    task          text,
    payload       json,
    priority      integer,
    attempt       integer,
    max_attempts  integer,
    timeout       interval,
    suspect       boolean,
    headers       json,
    created_at    timestamptz,
    claimed_at    timestamptz,
    expires_at    timestamptz
)
language plpgsql
security definer
set search_path = ''
-- The right plans go down an index from a floor. Said here, they hold on tables never analysed too.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off -- but for the lateral look-ups, which have no other way
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_expires   timestamptz;
    v_ids       bigint[];
    v_attempts  integer[];
    v_suspect   boolean;
    v_turn      boolean := random() < 0.5; -- of two lanes of one priority neither starves the other
    v_claimed   timestamptz;
    v_until     timestamptz;
    v_lanes     bigint[];
    v_rows      tid[];
    v_taken     pgq.ready;
    v_waited    double precision;
    v_low       bigint;
    v_high      bigint;
begin
    if p_token is null or p_executor is null or p_lease <= interval '0'
        or cardinality(p_queues) is distinct from cardinality(p_limits)
        or (p_limits is null or 0 <= all (p_limits) and 10000 >= all (p_limits)) is not true
        or p_limit < 0
    then
        perform pgq._refuse(
            'PQ005',
            'bad arguments of claim',
            format('token %s, executor %s, queues %s, limits %s, lease %s, limit %s; expected a token, an executor, a limit of 0 to 10000 for each queue, a lease of more than 0 or none, and a limit of 0 or more or none.',
                   coalesce(p_token::text, 'null'), coalesce(p_executor::text, 'null'), p_queues, p_limits, p_lease, p_limit),
            'Correct the call: nothing was claimed.'
        );
    end if;
    -- A repeat waits for the first call to end, then finds what it got.
    perform pg_advisory_xact_lock(1885827431, hashtext(p_token::text));
    -- Of hundreds a few look at a time, or they would walk past each other's rows. Who is alone does not ask.
    if not pg_try_advisory_xact_lock(1885827433, hashtext(p_queues::text))
        and current_setting('pgq.in_turn', true) is distinct from 'on'
    then
        return query
        select *
        from pgq._claim_in_turn(
            p_worker, p_executor, p_token, p_queues, p_limits, p_lease, p_suspects, p_limit, p_reserved
        );
        return;
    end if;
    if p_worker is distinct from 0 and not exists (
        select from pgq._live_worker w where w.id = p_worker
    ) then
        perform pgq._refuse_worker(p_worker);
    end if;
    if p_lease is not null or p_worker = 0 then
        v_expires := pgq._clock() + coalesce(p_lease, (select s.lease from pgq.setting s));
    end if;
    if exists (select from pgq.lease f where f.token = p_token and f.first) then
        select
            array_agg(l.job_id order by l.seq),
            array_agg(l.attempt order by l.seq),
            min(l.job_id),
            max(l.job_id),
            bool_or(l.suspect),
            min(l.claimed_at),
            min(l.expires_at)
        into v_ids, v_attempts, v_low, v_high, v_suspect, v_claimed, v_until
        from pgq.lease f
        cross join lateral (
            select l.*
            from pgq.lease l
            where l.seq between f.seq and f.seq + 100000
                and l.token = p_token
            offset 0
        ) l
        where f.token = p_token
            and f.first;
    end if;

    if v_ids is null and not exists (select from pgq.drain_request d where d.worker = p_worker) then
        v_claimed := now();
        v_until := v_expires;
        -- A suspect comes alone, so it is looked for before anything else is taken.
        -- Most queues have no lane of suspects, and a look at it costs as much as one at the others.
        foreach v_suspect in array case
            when p_suspects is not null then array[p_suspects]
            when exists (select from pgq.lane l where l.queue = any (p_queues) and l.suspect) then '{t,f}'
            else '{f}'
        end
        loop
            v_rows := array(
                select x.ctid
                from (
                    select u.queue, sum(u.most) as most
                    from unnest(p_queues, p_limits) with ordinality u (queue, most, n)
                    where u.most > 0
                        and not exists (select from pgq._paused_queue p where p.queue = u.queue)
                    group by u.queue
                    order by min(u.n)
                ) q
                cross join lateral (
                    select x.ctid
                    from (
                        select distinct l.priority, l.reserved = v_turn as later, l.lane
                        from pgq.lane l
                        where l.queue = q.queue
                            and l.suspect = v_suspect
                            and (p_reserved or not l.reserved)
                        order by l.priority, later, l.lane
                    ) l
                    cross join lateral (
                        select x.ctid
                        from pgq.ready x
                        where x.lane = l.lane
                            and x.seq >= coalesce((
                                select f.floor
                                from pgq.floor f
                                where f.lane = l.lane
                                order by f.floor desc
                                limit 1
                            ), 0)
                        order by x.seq
                        for update skip locked
                    ) x
                    limit q.most
                ) x
                limit case when v_suspect then 1 else p_limit end
            );
            exit when v_rows <> '{}';
        end loop;
        -- The usual case of a worker with nothing to do, in less time than the statement for many takes.
        if cardinality(v_rows) = 1 then
            delete from pgq.ready r where r.ctid = v_rows[1] returning r.* into v_taken;
            v_lanes := array[v_taken.lane];
            v_waited := greatest(date_part('epoch', v_claimed - v_taken.due_at), 0);
            insert into pgq.lease (
                job_id, worker, executor, token, lane, attempt, crashes, suspect, has_key, first,
                unknown_since, expires_at, waited
            )
            values (
                v_taken.job_id,
                p_worker,
                p_executor,
                p_token,
                v_taken.lane,
                v_taken.attempt + 1,
                v_taken.crashes,
                v_taken.suspect,
                v_taken.has_key,
                true,
                v_taken.unknown_since,
                v_expires,
                v_waited
            );
            insert into pgq.tally (queue, metric, label, n, spread, sums)
            values (
                (select l.queue from pgq.lane l where l.lane = v_taken.lane order by l.id limit 1),
                'transition',
                'ready>running',
                1,
                case when v_taken.attempt = 0 then array[(width_bucket(v_waited, pgq._bounds()) + (31 << 5) + (31 << 10))::smallint] end,
                array[case when v_taken.attempt = 0 then v_waited end, null, null]
            );
            v_low := v_taken.job_id;
            v_high := v_taken.job_id;
            v_ids := array[v_taken.job_id];
            v_attempts := array[v_taken.attempt + 1];
        elsif v_rows <> '{}' then
            with taken as (
                delete from pgq.ready r
                where r.ctid = any (v_rows)
                returning r.*, greatest(date_part('epoch', v_claimed - r.due_at), 0) as waited
            ),
            sums as materialized (
                select c.lane, c.n, l.queue, l.priority
                from (select t.lane, count(*) as n from taken t group by t.lane) c
                cross join lateral (
                    select l.queue, l.priority from pgq.lane l where l.lane = c.lane order by l.id limit 1
                ) l
                order by array_position(p_queues, l.queue), l.priority
            ),
            lanes as materialized (
                select array_agg(s.lane) as lanes from sums s
            ),
            leased as (
                insert into pgq.lease (
                    job_id, worker, executor, token, lane, attempt, crashes, suspect, has_key, first,
                    unknown_since, expires_at, waited
                )
                select
                    t.job_id,
                    p_worker,
                    p_executor,
                    p_token,
                    t.lane,
                    t.attempt + 1,
                    t.crashes,
                    t.suspect,
                    t.has_key,
                    row_number() over (order by t.place, t.seq) = 1,
                    t.unknown_since,
                    v_expires,
                    t.waited
                from (
                    select t.*, array_position((select l.lanes from lanes l), t.lane) as place from taken t
                ) t
                order by t.place, t.seq
                returning job_id, attempt, seq
            ),
            counted as (
                insert into pgq.tally (queue, metric, label, n, spread, sums)
                select
                    s.queue,
                    'transition',
                    'ready>running',
                    count(*),
                    -- Retries wait as long as they are told to.
                    array_agg((width_bucket(t.waited, pgq._bounds()) + (31 << 5) + (31 << 10))::smallint)
                        filter (where t.attempt = 0),
                    array[sum(t.waited) filter (where t.attempt = 0), null, null]
                from taken t
                join sums s on s.lane = t.lane
                group by s.queue
            )
            select
                array_agg(l.job_id order by l.seq),
                array_agg(l.attempt order by l.seq),
                min(l.job_id),
                max(l.job_id),
                (select l.lanes from lanes l)
            into v_ids, v_attempts, v_low, v_high, v_lanes
            from leased l;
        end if;
        -- Once in a few thousand jobs somebody moves the floors of the lanes they come from.
        if random() * 4000 < cardinality(v_ids) then
            perform pgq._alone('settle', format('select pgq._settle(%L)', v_lanes));
        end if;
    end if;

    if v_ids is null then
        return;
    end if;
    -- The bounds are what prunes partitions when the statement starts; the ids alone would open all.
    -- The array makes it one walk down the index of each that is left.
    return query
    select
        j.id,
        j.queue,
        p_token,
        j.task,
        j.payload,
        j.priority,
        i.attempt,
        coalesce(j.max_attempts, q.max_attempts, (select s.max_attempts from pgq.setting s)),
        coalesce(j.timeout, q.timeout, (select s.timeout from pgq.setting s)),
        v_suspect,
        j.headers,
        j.created_at,
        v_claimed,
        v_until
    from unnest(v_ids, v_attempts) with ordinality i (id, attempt, n)
    join pgq.job j on j.id = i.id
    left join pgq.queue q on q.queue = j.queue
    where j.id = any (v_ids)
        and j.id between v_low and v_high
    order by i.n;
end
$$;
comment on function pgq.claim is
    'Leases up to p_limits[i] jobs of p_queues[i] and p_limit in all, lower priority numbers first, then first come first served; of paused queues none, and none for a worker that drains. Repeated with the same token it returns the same leases. A suspect comes alone; p_suspects true asks for suspects only, false for none. Tasks whose names begin with pgq. come only to who asks for them by p_reserved. Worker 0 needs no heartbeat: its leases carry their own expiry, p_lease or the service''s. PQ008: the worker has expired.';
select pgq._allow('claim', 'pgq_worker');
