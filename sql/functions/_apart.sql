create or replace function pgq._bounds()
returns double precision[]
language plpgsql
immutable
set search_path = ''
as $$
begin
    return array[
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 43200
    ];
end
$$;
comment on function pgq._bounds is
    'Upper bounds of the buckets of all histograms, in seconds; at most 30, so that a number has five bits.';
select pgq._allow('_bounds');

create or replace function pgq._apart(p_tallies pgq.tally[])
returns table (
    queue   text,
    metric  text,
    label   text,
    bucket  real,
    n       bigint,
    sum     double precision
)
language sql
stable
set search_path = ''
set jit = off
as $$
    with given as materialized (
        select t.* from unnest(p_tallies) t
    ),
    measure (metric, place) as (
        values ('wait', 1), ('run', 2), ('total', 3)
    ),
    spread as (
        select s.queue, m.metric, (s.code >> 5 * (m.place - 1)) & 31 as bucket, sum(s.n) as n
        from (
            select g.queue, c.code::integer as code, count(*) as n
            from given g
            cross join unnest(g.spread) c (code)
            group by 1, 2
        ) s
        cross join measure m
        group by 1, 2, 3
    )
    select g.queue, g.metric, g.label, null::real, sum(g.n)::bigint, 0
    from given g
    group by g.queue, g.metric, g.label
    union all
    select
        s.queue,
        s.metric,
        '',
        b.bounds[s.bucket + 1]::real,
        s.n::bigint,
        0
    from spread s
    cross join (select pgq._bounds()) b (bounds)
    -- What is past the last bound, or was not measured, has none.
    where b.bounds[s.bucket + 1] is not null
    union all
    select g.queue, m.metric, '', null, sum(cardinality(g.spread))::bigint, sum(g.sums[m.place])
    from given g
    cross join measure m
    where g.sums[m.place] is not null
    group by g.queue, m.metric
$$;
comment on function pgq._apart is
    'What tallies say, added up, one row for each kind and for each bucket of a histogram.';
select pgq._allow('_apart');
