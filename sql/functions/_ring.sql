create or replace function pgq._ring()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_floor  bigint := pgq._seen_before('waiter', interval '20 seconds');
    v_rung   text;
begin
    if current_setting('pgq.wake', true) = 'off'
        or not exists (select from pgq.waiter w where w.seq >= v_floor and w.queue = new.queue)
    then
        return null;
    end if;
    -- As many executors as the new jobs need, chosen at random.
    select string_agg(format('%s.%s', c.worker, c.executor), ' ')
    into v_rung
    from (
        select w.worker, w.executor, sum(w.slots) over (order by random()) - w.slots as served
        from pgq.waiter w
        where w.seq >= v_floor
            and w.queue = new.queue
        limit 400
    ) c
    where c.served < new.n;
    if v_rung is not null then
        perform pgq._notify('w ' || v_rung);
    end if;
    return null;
end
$$;
comment on function pgq._ring is
    'After it was counted that jobs became ready, as every path does: wakes idle executors of their queue. Without any it costs two index probes and no NOTIFY, which would take a lock of the whole cluster at commit.';
select pgq._allow('_ring');
