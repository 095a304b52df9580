create or replace function pgq._drop_day()
returns trigger
language plpgsql
security definer
set search_path = ''
set lock_timeout = '100ms'
as $$
declare
    v_live   boolean := pgq._day_is_live(new.day);
    v_table  text;
begin
    foreach v_table in array array['finished', 'attempt', 'log', 'job'] loop
        continue when to_regclass(format('pgq.%I', pgq._partition_name(v_table, new.day))) is null;
        if not v_live then
            execute format('drop table pgq.%I', pgq._partition_name(v_table, new.day));
        elsif v_table <> 'job' then
            -- Its unfinished jobs will need a place to end.
            execute format('truncate pgq.%I', pgq._partition_name(v_table, new.day));
        end if;
    end loop;
    if not v_live then
        delete from pgq.expired_day e where e.day = new.day;
    end if;
    return null;
exception
    when lock_not_available then
        delete from pgq.expired_day e where e.day = new.day;
        return null;
end
$$;
comment on function pgq._drop_day is
    'At commit: drops the partitions of a day; while a job of it lives, empties those that tell of finished ones. Somebody in the way: the next round tries again.';
select pgq._allow('_drop_day');
