create or replace function pgq.complete_many(
    p_ids          bigint[],
    p_tokens       uuid[],
    p_results      json[] default null,
    p_ran_seconds  double precision[] default null
)
returns table (
    id       bigint,
    outcome  text
)
language plpgsql
security definer
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off -- but for the lateral look-ups, which have no other way
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_limit   integer := (select s.result_limit from pgq.setting s);
    v_done    bigint[];
    v_keyed   bigint[];
    v_lost    bigint[];
begin
    with ended as (
        delete from pgq.lease l
        using (
            select g.*
            from unnest(p_ids, p_tokens, p_results, p_ran_seconds) g (job_id, token, result, ran)
            where g.result is null
                or octet_length(g.result::text) <= v_limit
            -- As everyone who takes many. The array walks down the index once, in this order too.
            order by g.job_id
        ) g
        where l.job_id = any (p_ids)
            and l.job_id = g.job_id
            and l.token = g.token
        returning
            l.job_id,
            l.lane,
            l.token,
            l.attempt,
            l.worker,
            l.has_key,
            g.result,
            coalesce(l.started_at, now() - make_interval(secs => g.ran)) as started_at,
            l.claimed_at,
            l.waited
    ),
    kept as (
        insert into pgq.finished (job_id, lane, outcome, token, attempt, worker, started_at, result)
        select e.job_id, e.lane, 'succeeded', e.token, e.attempt, e.worker, e.started_at, e.result
        from ended e
    ),
    counted as (
        insert into pgq.tally (queue, metric, label, n, spread, sums)
        select
            t.queue,
            'transition',
            'running>succeeded',
            count(*),
            array_agg(
                (
                    31
                    + (width_bucket(t.ran, pgq._bounds()) << 5)
                    + (width_bucket(t.total, pgq._bounds()) << 10)
                )::smallint
            ),
            array[null, sum(t.ran), sum(t.total)]
        from (
            select
                q.queue,
                greatest(date_part('epoch', now() - coalesce(e.started_at, e.claimed_at)), 0) as ran,
                greatest(e.waited + date_part('epoch', now() - e.claimed_at), 0) as total
            from ended e
            join (
                select c.lane, q.queue
                from (select distinct e.lane from ended e) c
                cross join lateral (
                    select l.queue from pgq.lane l where l.lane = c.lane order by l.id limit 1
                ) q
                offset 0 -- once for each lane
            ) q on q.lane = e.lane
        ) t
        group by t.queue
    )
    select array_agg(e.job_id), array_agg(e.job_id) filter (where e.has_key)
    into v_done, v_keyed
    from ended e;
    if v_keyed is not null then
        perform pgq._free_keys(v_keyed);
    end if;
    if coalesce(cardinality(v_done), 0) = cardinality(p_ids) then
        return;
    end if;
    for id, outcome in
        select
            g.job_id,
            case
                when exists (
                    select
                    from pgq.finished f
                    where f.job_id = g.job_id
                        and f.token = g.token
                        and f.outcome = 'succeeded'
                ) then 'repeated'
                when exists (
                    select from pgq.lease l where l.job_id = g.job_id and l.token = g.token
                ) then 'result too large'
                else 'lost'
            end
        from unnest(p_ids, p_tokens) g (job_id, token)
        where g.job_id <> all (coalesce(v_done, '{}'))
    loop
        if outcome = 'lost' then
            v_lost := v_lost || id;
        end if;
        return next;
    end loop;
    if v_lost is not null then
        perform pgq._count_stale('complete', v_lost);
    end if;
end
$$;
comment on function pgq.complete_many is
    'Finishes running jobs, each with its token. A row for each that this call did not finish: repeated (it had succeeded with this token before), lost, result too large (it is still leased).';
select pgq._allow('complete_many', 'pgq_worker');
