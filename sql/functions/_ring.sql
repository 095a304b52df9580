create or replace function pgq._ring()
returns trigger
language plpgsql
security definer
set search_path = ''
-- Planned while nobody waits, the table would be read whole by its session for good.
set enable_seqscan = off
as $$
declare
    v_since   timestamptz := clock_timestamp() - interval '20 seconds';
    v_waiter  record;
    v_slots   bigint := 0;
begin
    if new.label not like '%>ready' or current_setting('pgq.wake', true) = 'off' then
        return new;
    end if;
    -- To set up the loop takes longer than this look.
    if not exists (select from pgq.waiter w where w.entered_at > v_since) then
        return new;
    end if;
    -- As many executors as the new jobs need, chosen at random.
    for v_waiter in
        select w.worker, w.executor, w.slots
        from pgq.waiter w
        where w.entered_at > v_since
            and w.queue = new.queue
        order by random()
        limit 400
    loop
        perform pgq._notify(v_waiter.worker, v_waiter.executor, 'w');
        v_slots := v_slots + v_waiter.slots;
        exit when v_slots >= new.n;
    end loop;
    return new;
end
$$;
comment on function pgq._ring is
    'When it is counted that jobs became ready, as every path does: wakes idle executors of their queue. Without any it costs an index probe and no NOTIFY, which would take a lock of the whole cluster at commit.';
select pgq._allow('_ring');
