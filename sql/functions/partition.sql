create or replace function pgq.partition(p_days integer default 7)
returns integer
language sql
security definer
set search_path = ''
as $$
    select pgq._alone('partition', format('select pgq._partition(%s)', coalesce(p_days, 7)))::integer
$$;
comment on function pgq.partition is
    'Upkeep: makes the partitions of today and so many days ahead, and moves the id sequence on to today; how many it made.';
select pgq._allow('partition', 'pgq_worker', 'pgq_operator');

create or replace function pgq._today()
returns integer
language sql
stable
set search_path = ''
as $$
    select (extract(epoch from clock_timestamp())::bigint / 86400)::integer
$$;
comment on function pgq._today is 'Number of the day in UTC, as in id >> 32.';
select pgq._allow('_today');

create or replace function pgq._partition_name(p_table text, p_day integer)
returns text
language sql
immutable
set search_path = ''
as $$
    select format('%s_%s', p_table, to_char(timestamp 'epoch' + p_day * interval '1 day', 'YYYYMMDD'))
$$;
comment on function pgq._partition_name is 'Name of a day''s partition of a table, without the schema.';
select pgq._allow('_partition_name');

create or replace function pgq._partition(p_days integer)
returns bigint
language plpgsql
set search_path = ''
set lock_timeout = '100ms'
as $$
declare
    v_today  integer := pgq._today();
    v_last   bigint := (select s.last_value from pgq.job_id_seq s);
    v_day    integer;
    v_table  text;
    v_name   text;
    v_n      bigint := 0;
begin
    for v_day in
        -- Ids go on in the sequence's day until it is moved.
        select (v_last >> 32)::integer
        union
        select generate_series(v_today, v_today + p_days)
        order by 1
    loop
        foreach v_table in array array['job', 'finished', 'attempt', 'log'] loop
            v_name := pgq._partition_name(v_table, v_day);
            continue when to_regclass(format('pgq.%I', v_name)) is not null;
            -- LIKE and ATTACH wait for nobody who reads or writes the table; PARTITION OF would.
            begin
                execute format('create table pgq.%I (like pgq.%I including all)', v_name, v_table);
                execute format('alter table pgq.%I set (vacuum_truncate = off)', v_name);
                execute format(
                    'alter table pgq.%I attach partition pgq.%I for values from (%s) to (%s)',
                    v_table, v_name, v_day::bigint << 32, (v_day + 1)::bigint << 32
                );
            exception
                when lock_not_available then
                    return v_n;
            end;
            v_n := v_n + 1;
        end loop;
    end loop;
    if v_last < v_today::bigint << 32 then
        perform setval('pgq.job_id_seq', v_today::bigint << 32);
    end if;
    return v_n;
end
$$;
comment on function pgq._partition is 'A round of pgq.partition.';
select pgq._allow('_partition');
