create or replace function pgq.audit_state(p_limit integer default 5000)
returns bigint
language sql
security definer
set search_path = ''
as $$
    select pgq._alone('audit_state', format('select pgq._audit(%s)', coalesce(p_limit, 5000)))
$$;
comment on function pgq.audit_state is
    'Upkeep: looks through a slice of the jobs for those that stand in no table, in two, or below a floor, and mends them; now and then compares the counters with the tables. How many it mended; each is counted (metric "repaired"). It needs to find nothing: triggers were off, or somebody deleted rows.';
select pgq._allow('audit_state', 'pgq_worker', 'pgq_operator');

create or replace function pgq._audit(p_limit integer)
returns bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    return pgq._audit_jobs(p_limit)
        + pgq._audit_floors(p_limit)
        + case when pgq._is_due('audit_counters', interval '10 minutes') then pgq._audit_counters() else 0 end;
end
$$;
comment on function pgq._audit is 'A round of pgq.audit_state.';
select pgq._allow('_audit');

create or replace function pgq._audit_jobs(p_limit integer)
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
    v_after   bigint;
    v_oldest  bigint;
    v_job     record;
    v_seen    bigint := 0;
    v_last    bigint;
    v_n       bigint := 0;
begin
    -- Days that may be dropped are left alone: dropping is seen by older snapshots too.
    select (pgq._today() - extract(day from least(s.keep_finished, min(q.keep_finished)))::bigint) << 32
    into v_oldest
    from pgq.setting s
    left join pgq.queue q on true
    group by s.keep_finished;
    v_after := greatest(v_oldest, pgq._swept_to('audit_jobs'));
    -- One statement, so one snapshot: in it each job stands in exactly one table.
    for v_job in
        select
            s.*,
            count(*) over () as seen,
            max(s.id) over () as last
        from (
            -- Scalar look-ups: joined, they might read a whole table.
            select
                j.id,
                coalesce((select 1 from pgq.finished f where f.job_id = j.id and f.job_id > v_after), 0)
                    + coalesce((select 1 from pgq.dead d where d.job_id = j.id), 0)
                    + coalesce((select 1 from pgq.lease l where l.job_id = j.id), 0)
                    + coalesce((select 1 from pgq.ready r where r.job_id = j.id), 0)
                    + coalesce((select 1 from pgq.delayed y where y.job_id = j.id), 0) as states
            from (
                select j.id from pgq.job j where j.id > v_after order by j.id limit p_limit
            ) j
        ) s
    loop
        v_seen := v_job.seen;
        v_last := v_job.last;
        if v_job.states <> 1 then
            v_n := v_n + pgq._mend(v_job.id);
        end if;
    end loop;
    insert into pgq.cursor (stream, value)
    values ('audit_jobs', case when v_seen < p_limit then 0 else v_last end);
    return v_n;
end
$$;
comment on function pgq._audit_jobs is 'Looks through a slice of jobs for those that do not stand in exactly one table.';
select pgq._allow('_audit_jobs');

create or replace function pgq._mend(p_id bigint)
returns integer
language plpgsql
set search_path = ''
as $$
declare
    v_job    pgq.job;
    v_lane   bigint;
    v_state  text;
    v_table  text;
    v_gone   integer := 0;
    v_rows   integer;
begin
    -- Whoever mends it already may stay in that transaction for long; or has just done it.
    if not pg_try_advisory_xact_lock(1885827430, hashint8(p_id)) or (
        select count(*)
        from (
            select f.job_id from pgq.finished f where f.job_id = p_id
            union all
            select d.job_id from pgq.dead d where d.job_id = p_id
            union all
            select l.job_id from pgq.lease l where l.job_id = p_id
            union all
            select r.job_id from pgq.ready r where r.job_id = p_id
            union all
            select y.job_id from pgq.delayed y where y.job_id = p_id
        ) s
    ) = 1 then
        return 0;
    end if;
    select j.* into v_job from pgq.job j where j.id = p_id;
    v_lane := pgq._enter_lane(v_job.queue, v_job.priority, p_reserved => starts_with(v_job.task, 'pgq.'));
    -- What has come furthest counts; a row that is being moved just now is left to the next round.
    foreach v_table in array array['finished', 'dead', 'lease', 'ready', 'delayed'] loop
        if v_state is null then
            execute format('select %L from pgq.%I s where s.job_id = $1', v_table, v_table)
            into v_state
            using p_id;
        else
            execute format(
                'delete from pgq.%I d where d.ctid = any (array('
                'select s.ctid from pgq.%I s where s.job_id = $1 for update skip locked))',
                v_table, v_table
            )
            using p_id;
            get diagnostics v_rows = row_count;
            v_gone := v_gone + v_rows;
        end if;
    end loop;
    if v_state is not null then
        if v_gone > 0 then
            perform pgq._count(v_lane, 'repaired', 'two states');
        end if;
        return (v_gone > 0)::integer;
    end if;
    if v_job.run_at > clock_timestamp() then
        insert into pgq.delayed (run_at, job_id, lane, has_key, why)
        values (v_job.run_at, p_id, v_lane, v_job.unique_key is not null, 'scheduled')
        on conflict do nothing;
    else
        insert into pgq.ready (lane, job_id, has_key)
        values (v_lane, p_id, v_job.unique_key is not null)
        on conflict do nothing;
    end if;
    perform pgq._count(v_lane, 'repaired', 'no state');
    return 1;
end
$$;
comment on function pgq._mend is 'Gives a job that stands in no table a state row, or takes away all but the one that counts.';
select pgq._allow('_mend');

create or replace function pgq._audit_floors(p_limit integer)
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
    v_after  bigint := pgq._swept_to('audit_floors');
    v_row    record;
    v_n      bigint := 0;
    v_moved  bigint;
    v_seen   bigint := 0;
    v_last   bigint;
begin
    for v_row in
        select
            s.*,
            count(*) over () as seen,
            max(s.job_id) over () as last
        from (
            select
                r.job_id,
                r.lane,
                r.seq,
                r.seq < f.floor
                    and not exists (
                        select from pgq.passed p where p.job_id = r.job_id and p.seq = r.seq
                    )
                    and not exists (
                        select
                        from pgq.straggler g
                        where g.stream = 'ready'
                            and r.seq >= g.from_seq
                            and r.seq <= coalesce(g.to_seq, r.seq)
                    ) as stranded
            from (
                select r.* from pgq.ready r where r.job_id > v_after order by r.job_id limit p_limit
            ) r
            left join lateral (
                select f.floor from pgq.floor f where f.lane = r.lane order by f.floor desc limit 1
            ) f on true
        ) s
    loop
        v_seen := v_row.seen;
        v_last := v_row.last;
        if v_row.stranded then
            v_moved := pgq._new_seq(array(
                select r.ctid
                from pgq.ready r
                where r.job_id = v_row.job_id
                    and r.seq = v_row.seq
                for update skip locked
            ));
            if v_moved > 0 then
                v_n := v_n + 1;
                perform pgq._count(v_row.lane, 'repaired', 'below floor');
            end if;
        end if;
    end loop;
    insert into pgq.cursor (stream, value)
    values ('audit_floors', case when v_seen < p_limit then 0 else v_last end);
    return v_n;
end
$$;
comment on function pgq._audit_floors is 'Looks through a slice of ready for rows below their lane''s floor.';
select pgq._allow('_audit_floors');

create or replace function pgq._audit_counters()
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_diff  record;
    v_n     bigint := 0;
begin
    -- Counting reads whole tables: only where that is a matter of milliseconds.
    if pg_table_size('pgq.ready') + pg_table_size('pgq.delayed') + pg_table_size('pgq.lease')
        + pg_table_size('pgq.dead') > 64 * 1024 * 1024
        or not pg_try_advisory_xact_lock(1885827430, 0)
    then
        return 0;
    end if;
    for v_diff in
        with said as (
            select d.queue, d.state, sum(d.n) as n
            from (
                select t.queue, split_part(t.label, '>', s.side) as state, t.n * (2 * s.side - 3) as n
                from (
                    select c.queue, c.metric, c.label, c.n from pgq.counter c
                    union all
                    select y.queue, y.metric, y.label, y.n from pgq.tally y
                ) t
                cross join (values (1), (2)) s (side)
                where t.metric = 'transition'
            ) d
            where d.state in ('scheduled', 'ready', 'running', 'retrying', 'dead')
            group by d.queue, d.state
        ),
        stands as (
            select q.queue, x.state, sum(x.n) as n
            from (
                select r.lane, 'ready' as state, count(*) as n from pgq.ready r group by 1
                union all
                select d.lane, case when d.why = 'retry' then 'retrying' else 'scheduled' end, count(*)
                from pgq.delayed d
                group by 1, 2
                union all
                select l.lane, 'running', count(*) from pgq.lease l group by 1
                union all
                select d.lane, 'dead', count(*) from pgq.dead d group by 1
            ) x
            cross join lateral (
                select l.queue from pgq.lane l where l.lane = x.lane order by l.id limit 1
            ) q
            group by q.queue, x.state
        )
        select
            coalesce(a.queue, b.queue) as queue,
            coalesce(a.state, b.state) as state,
            coalesce(b.n, 0) - coalesce(a.n, 0) as n
        from said a
        full join stands b on b.queue = a.queue and b.state = a.state
        where coalesce(b.n, 0) <> coalesce(a.n, 0)
    loop
        insert into pgq.tally (queue, metric, label, n)
        values (v_diff.queue, 'transition', 'audit>' || v_diff.state, v_diff.n),
               (v_diff.queue, 'repaired', 'counter', 1);
        v_n := v_n + 1;
    end loop;
    return v_n;
end
$$;
comment on function pgq._audit_counters is 'Compares the depth of each state by the counters with the tables, in one snapshot, and corrects the counters.';
select pgq._allow('_audit_counters');
