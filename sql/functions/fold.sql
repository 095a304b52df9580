create or replace function pgq.fold(p_limit integer default 20000)
returns integer
language sql
security definer
set search_path = ''
as $$
    select pgq._alone('fold', format('select pgq._fold(%s)', coalesce(p_limit, 20000)))::integer
$$;
comment on function pgq.fold is
    'Upkeep: adds tallies to the counters and removes duplicate lanes; how many rows it took away.';
select pgq._allow('fold', 'pgq_worker', 'pgq_operator');

create or replace function pgq._fold(p_limit integer)
returns bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_from   bigint := pgq._seen(
        'tally',
        (select case when s.is_called then s.last_value else 0 end from pgq.tally_seq s),
        interval '10 seconds'
    );
    v_sweep  bigint;
    v_lanes  bigint;
    v_n      bigint;
begin
    v_n := pgq._fold_range(v_from, null, p_limit);
    -- What transactions longer than that have left behind, a window at a time.
    if v_from > 0 and pgq._is_due('tally_due', interval '5 seconds') then
        v_sweep := pgq._swept_to('tally_sweep');
        if v_sweep >= v_from then
            v_sweep := 0;
        end if;
        v_n := v_n + pgq._fold_range(v_sweep, least(v_sweep + 200000, v_from), p_limit);
        insert into pgq.cursor (stream, value) values ('tally_sweep', v_sweep + 200000);
    end if;
    delete from pgq.lane l
    where l.ctid = any (array(
        select d.ctid
        from pgq.lane d
        where exists (
            select from pgq.lane e where e.queue = d.queue and e.lane = d.lane and e.id < d.id
        )
        limit 1000
        for update skip locked
    ));
    get diagnostics v_lanes = row_count;
    return v_n + v_lanes;
end
$$;
comment on function pgq._fold is 'A round of pgq.fold.';
select pgq._allow('_fold');

create or replace function pgq._fold_range(p_from bigint, p_to bigint, p_limit integer)
returns bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_tallies  pgq.tally[];
    v_sum      record;
begin
    with folded as (
        delete from pgq.tally t
        where t.ctid = any (array(
            select x.ctid
            from pgq.tally x
            where x.seq >= p_from
                and (p_to is null or x.seq < p_to)
            order by x.seq
            limit p_limit
            for update skip locked
        ))
        returning t as tally
    )
    select array_agg(f.tally) into v_tallies from folded f;
    for v_sum in
        select * from pgq._apart(v_tallies)
    loop
        -- A row that somebody holds is not waited for: the counter gets another one.
        update pgq.counter c
        set n = c.n + v_sum.n, sum = c.sum + v_sum.sum
        where c.ctid = any (array(
            select x.ctid
            from pgq.counter x
            where x.queue = v_sum.queue
                and x.metric = v_sum.metric
                and x.label = v_sum.label
                and x.bucket is not distinct from v_sum.bucket
            limit 1
            for update skip locked
        ));
        if not found then
            insert into pgq.counter (queue, metric, label, bucket, n, sum)
            values (v_sum.queue, v_sum.metric, v_sum.label, v_sum.bucket, v_sum.n, v_sum.sum);
        end if;
    end loop;
    return coalesce(cardinality(v_tallies), 0);
end
$$;
comment on function pgq._fold_range is 'Moves tallies of a range into the counters.';
select pgq._allow('_fold_range');
