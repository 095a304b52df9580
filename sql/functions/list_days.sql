create or replace function pgq.list_days()
returns table (
    day         date,
    size_bytes  bigint,
    expired     boolean,
    is_live     boolean
)
language sql
stable
security definer
set search_path = ''
set jit = off
as $$
    with kept as materialized (
        select greatest(s.keep_finished, max(q.keep_finished), s.keep_dead, max(q.keep_dead)) as longest
        from pgq.setting s
        left join pgq.queue q on true
        group by s.keep_finished, s.keep_dead
    ),
    part as materialized (
        select
            to_date(substring(c.relname::text from '[0-9]{8}$'), 'YYYYMMDD') as day,
            pg_catalog.pg_total_relation_size(c.oid) as size_bytes
        from pg_catalog.pg_inherits i
        join pg_catalog.pg_class c on c.oid = i.inhrelid
        where i.inhparent in (
            'pgq.job'::regclass, 'pgq.finished'::regclass, 'pgq.attempt'::regclass, 'pgq.log'::regclass
        )
    )
    select d.day, d.size_bytes, d.expired, d.expired and pgq._day_is_live(d.day - date '1970-01-01')
    from (
        select
            p.day,
            sum(p.size_bytes)::bigint as size_bytes,
            (p.day + 1) + k.longest < clock_timestamp() at time zone 'UTC' as expired
        from part p
        cross join kept k
        group by p.day, k.longest
    ) d
    order by d.day
$$;
comment on function pgq.list_days is
    'Days of ids with the size of their partitions and indexes. expired: nothing of it has to be kept any longer, and upkeep drops it unless it is_live: a job of it is unfinished or a dead letter.';
select pgq._allow('list_days', 'pgq_viewer');
