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
    v_limit  integer := (select s.result_limit from pgq.setting s);
    v_done   bigint[];
    v_keyed  bigint[];
begin
    -- In the order of ids, as everyone who takes many.
    with held as materialized (
        select distinct on (g.job_id) l.*, g.result, g.ran
        from unnest(p_ids, p_tokens, p_results, p_ran_seconds) g (job_id, token, result, ran)
        -- OFFSET 0: one look-up for each id, whatever the planner believes of the table's size.
        cross join lateral (
            select
                x.job_id,
                x.lane,
                x.token,
                x.attempt,
                x.worker,
                x.has_key
            from pgq.lease x
            where x.job_id = g.job_id
                and x.token = g.token
            offset 0
        ) l
        where g.result is null
            or octet_length(g.result::text) <= v_limit
        order by g.job_id
    ),
    ended as (
        delete from pgq.lease l
        where l.job_id = any (array(select h.job_id from held h))
            and l.token = any (p_tokens)
        returning l.job_id, l.started_at
    ),
    gone as materialized (
        select
            h.job_id,
            h.lane,
            h.token,
            h.attempt,
            h.worker,
            h.has_key,
            h.result,
            coalesce(e.started_at, now() - make_interval(secs => h.ran)) as started_at
        from held h
        join ended e on e.job_id = h.job_id
    ),
    kept as (
        insert into pgq.finished (job_id, lane, outcome, token, attempt, worker, started_at, result)
        select g.job_id, g.lane, 'succeeded', g.token, g.attempt, g.worker, g.started_at, g.result
        from gone g
    ),
    counted as (
        insert into pgq.tally (queue, metric, label, n)
        select q.queue, 'transition', 'running>succeeded', sum(c.n)
        from (select g.lane, count(*) as n from gone g group by g.lane) c
        cross join lateral (
            select l.queue from pgq.lane l where l.lane = c.lane order by l.id limit 1
        ) q
        group by q.queue
    )
    select array_agg(g.job_id), array_agg(g.job_id) filter (where g.has_key)
    into v_done, v_keyed
    from gone g;
    if v_keyed is not null then
        perform pgq._free_keys(v_keyed);
    end if;
    if coalesce(cardinality(v_done), 0) = cardinality(p_ids) then
        return;
    end if;
    return query
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
    where g.job_id <> all (coalesce(v_done, '{}'));
end
$$;
comment on function pgq.complete_many is
    'Finishes running jobs, each with its token. A row for each that this call did not finish: repeated (it had succeeded with this token before), lost, result too large (it is still leased).';
select pgq._allow('complete_many', 'pgq_worker');
