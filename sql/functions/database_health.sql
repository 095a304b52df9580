create or replace function pgq.database_health()
returns table (
    database_now         timestamptz,
    upkeep_seconds       double precision,
    floor_seconds        double precision,
    stragglers           integer,
    days_ahead           integer,
    repaired             bigint,
    oldest_seconds       double precision,
    oldest_pid           integer,
    oldest_user          text,
    oldest_application   text,
    oldest_state         text,
    xmin_age             bigint,
    notification_queue   double precision,
    connections          integer,
    max_connections      integer
)
language sql
-- Volatile: clock_timestamp() of now, and what other sessions do now.
volatile
security definer
set search_path = ''
set jit = off
as $$
    with session as materialized (
        select a.pid, a.usename, a.application_name, a.state, a.xact_start as since, a.backend_xid, a.backend_xmin
        from pg_catalog.pg_stat_activity a
        where a.datname = current_database()
            and a.pid <> pg_backend_pid()
            and coalesce(a.backend_type, '') not like 'autovacuum%'
        union all
        select null, p.owner, p.gid, 'prepared', p.prepared, p.transaction, null
        from pg_catalog.pg_prepared_xacts p
        where p.database = current_database()
    )
    select
        clock_timestamp(),
        extract(epoch from clock_timestamp() - (
            select c.at from pgq.lease_clock c order by c.id desc limit 1
        ))::double precision,
        extract(epoch from clock_timestamp() - coalesce(
            (select m.noted_at from pgq.mark m where m.stream = 'ready' order by m.id desc limit 1),
            (select min(m.applied_at) from pgq.migration m)
        ))::double precision,
        (select count(*)::integer from pgq.straggler s),
        pgq._days_ahead(),
        (
            select coalesce(sum(c.n), 0)::bigint
            from (
                select c.n from pgq.counter c where c.metric = 'repaired'
                union all
                select t.n from pgq.tally t where t.metric = 'repaired'
            ) c
        ),
        extract(epoch from clock_timestamp() - o.since)::double precision,
        o.pid,
        o.usename::text,
        o.application_name,
        o.state,
        greatest(
            (select max(greatest(age(s.backend_xid), age(s.backend_xmin))) from session s),
            (select max(greatest(age(r.xmin), age(r.catalog_xmin))) from pg_catalog.pg_replication_slots r),
            0
        )::bigint,
        pg_catalog.pg_notification_queue_usage(),
        (select sum(d.numbackends)::integer from pg_catalog.pg_stat_database d),
        current_setting('max_connections')::integer
    from (select) one
    left join lateral (
        select s.* from session s where s.since is not null order by s.since limit 1
    ) o on true
$$;
comment on function pgq.database_health is
    'How Postgres is under the queue, at a cost that does not grow with the jobs. Seconds since upkeep last moved the lease clock and the mark of the floors; transactions that the floors do not wait for; days for which there are partitions, after today; what the audit has mended since the installation; the oldest transaction of this database and who holds it, as far as the owner of the schema may see (a member of pg_read_all_stats sees all; state prepared: a prepared transaction, named by its gid); how many transactions ago the oldest snapshot or replication slot was taken, which vacuum waits for; how full the queue of notifications is, from 0 to 1; sessions of the whole server.';
select pgq._allow('database_health', 'pgq_viewer');

create or replace function pgq._days_ahead()
returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
    v_today  integer := pgq._today();
    v_table  text;
begin
    for n in 0 .. 30 loop
        foreach v_table in array array['job', 'finished', 'attempt', 'log'] loop
            if to_regclass(format('pgq.%I', pgq._partition_name(v_table, v_today + n))) is null then
                return n - 1;
            end if;
        end loop;
    end loop;
    return 30;
end
$$;
comment on function pgq._days_ahead is 'Days after today for which all partitions are there, without a gap; -1 when those of today are missing.';
select pgq._allow('_days_ahead');
