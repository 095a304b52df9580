create or replace function pgq.await_jobs(
    p_worker    bigint,
    p_executor  integer,
    p_queues    text[],
    p_slots     integer
)
returns void
language plpgsql
security definer
set search_path = ''
-- Planned while nobody waits, the table would be read whole by its session for good.
set enable_seqscan = off
as $$
declare
    v_since timestamptz := clock_timestamp() - interval '20 seconds';
begin
    delete from pgq.waiter w
    where w.entered_at > v_since
        and w.worker = p_worker
        and w.executor = p_executor;
    if p_slots > 0 then
        insert into pgq.waiter (worker, executor, queue, slots)
        select p_worker, p_executor, q.queue, p_slots
        from unnest(p_queues) q (queue);
    end if;
end
$$;
comment on function pgq.await_jobs is
    'From now on jobs of these queues ring this executor, which has so many slots free; call it again within 20 s, since older entries are not looked at. 0 slots: no longer.';
select pgq._allow('await_jobs', 'pgq_worker');
