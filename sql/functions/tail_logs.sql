create or replace function pgq.tail_logs(
    p_ids     bigint[],
    p_afters  integer[],
    p_limit   integer default 1000
)
returns table (
    id        bigint,
    n         integer,
    attempt   integer,
    at        timestamptz,
    level     text,
    message   text,
    progress  real
)
language plpgsql
stable
security definer
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    v_ids     bigint[];
    v_afters  integer[];
begin
    perform pgq._check_limit(p_limit, 10000);
    perform pgq._check_array('p_ids', cardinality(p_ids), 10000);
    select array_agg(t.id), array_agg(t.after)
    into v_ids, v_afters
    from (
        select u.id, coalesce(u.after, 0) as after
        from unnest(p_ids, p_afters) u (id, after)
        where u.id is not null
        offset 0
    ) t
    where exists (select from pgq.log g where g.job_id = t.id and g.n > t.after offset 0);
    return query
    select t.id, g.n, g.attempt, g.at, g.level, g.message, g.progress
    from unnest(v_ids, v_afters) with ordinality t (id, after, i)
    cross join lateral (
        select g.*
        from pgq.log g
        where g.job_id = t.id
            and g.n > t.after
        order by g.n
        -- A log that is far behind leaves room for the others.
        limit greatest(p_limit / cardinality(v_ids), 1)
    ) g
    order by t.i, g.n;
end
$$;
comment on function pgq.tail_logs is
    'Lines of many jobs'' logs, of each those after its number in p_afters, in their order. About p_limit in all, and at least one of each log that has any: ask again at once after a full answer.';
select pgq._allow('tail_logs', 'pgq_viewer');
