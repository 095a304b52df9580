create or replace function pgq._ring()
returns trigger
language plpgsql
security definer
set search_path = ''
-- Planned while nobody waits, the table would be read whole by its session for good.
set enable_seqscan = off
as $$
declare
    v_floor   bigint;
    v_waiter  record;
    v_slots   bigint := 0;
begin
    if new.label not like '%>ready' or current_setting('pgq.wake', true) = 'off' then
        return new;
    end if;
    v_floor := pgq._seen_before('waiter', interval '20 seconds');
    -- As many executors as the new jobs need, chosen at random.
    for v_waiter in
        select w.worker, w.executor, w.slots
        from pgq.waiter w
        where w.seq >= v_floor
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
    'When it is counted that jobs became ready, as every path does: wakes idle executors of their queue. Without any it costs two index probes and no NOTIFY, which would take a lock of the whole cluster at commit.';
select pgq._allow('_ring');
