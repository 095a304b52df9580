create or replace function pgq.list_tables()
returns table (
    relation     text,
    size_bytes   bigint,
    live_rows    bigint,
    dead_rows    bigint,
    partitions   integer,
    vacuumed_at  timestamptz
)
language sql
stable
security definer
set search_path = ''
set jit = off
as $$
    select
        coalesce(p.relname, c.relname)::text,
        sum(pg_catalog.pg_total_relation_size(c.oid))::bigint,
        sum(pg_catalog.pg_stat_get_live_tuples(c.oid))::bigint,
        sum(pg_catalog.pg_stat_get_dead_tuples(c.oid))::bigint,
        count(p.oid)::integer,
        max(greatest(
            pg_catalog.pg_stat_get_last_vacuum_time(c.oid), pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)
        ))
    from pg_catalog.pg_class c
    left join pg_catalog.pg_inherits i on i.inhrelid = c.oid
    left join pg_catalog.pg_class p on p.oid = i.inhparent
    where c.relnamespace = 'pgq'::regnamespace
        and c.relkind = 'r'
    group by 1
    order by 1
$$;
comment on function pgq.list_tables is
    'The queue''s own tables, days added up: size with indexes, rows and dead rows as Postgres estimates them, when last vacuumed. Reads no table.';
select pgq._allow('list_tables', 'pgq_viewer');
