-- Only those that are missing: creating one waits for everybody who writes to the table.
do $$
declare
    v_trigger record;
begin
    for v_trigger in
        select t.*
        from (
            values
                ('job', 'take_key', 'before insert on pgq.job '
                    'for each row when (new.unique_key is not null) execute function pgq._take_key()'),
                ('job', 'route', 'after insert on pgq.job '
                    'referencing new table as new_rows for each statement execute function pgq._route()'),
                ('ready', 'hold_gate', 'before insert on pgq.ready '
                    'for each statement execute function pgq._hold_gate()'),
                ('tally', 'ring', 'before insert on pgq.tally for each row execute function pgq._ring()'),
                ('ready', 'forbid_truncate', 'before truncate on pgq.ready '
                    'for each statement execute function pgq._forbid_truncate()'),
                ('lease', 'hold_gate', 'before insert on pgq.lease '
                    'for each statement execute function pgq._hold_lease_gate()'),
                ('lease', 'forbid_truncate', 'before truncate on pgq.lease '
                    'for each statement execute function pgq._forbid_truncate()'),
                ('expired_day', 'drop_day', 'after insert on pgq.expired_day deferrable initially deferred '
                    'for each row execute function pgq._drop_day()')
        ) t (relation, trigger, definition)
        where not exists (
            select
            from pg_catalog.pg_trigger g
            where g.tgrelid = format('pgq.%I', t.relation)::regclass
                and g.tgname = t.trigger
        )
    loop
        execute format(
            'create %s trigger %I %s',
            case when v_trigger.trigger = 'drop_day' then 'constraint' else '' end,
            v_trigger.trigger,
            v_trigger.definition
        );
    end loop;
end
$$;
