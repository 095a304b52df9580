create or replace function pgq._notify(
    p_worker    bigint,
    p_executor  integer,
    p_message   text
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    -- A listener idle in a transaction fills the queue; in a full one every commit that notifies fails.
    if pg_notification_queue_usage() < 0.5 then
        perform pg_notify('pgq_' || p_worker || '_' || p_executor, p_message);
    end if;
end
$$;
comment on function pgq._notify is
    'Sends a message to an executor, unless the server''s queue of notifications is half full: it polls.';
select pgq._allow('_notify');
