create or replace function pgq.pause(p_queue text)
returns boolean
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform pgq._check_queue(p_queue);
    insert into pgq.queue as q (queue, paused_at)
    values (p_queue, now())
    on conflict (queue) do update
    set paused_at = excluded.paused_at
    where q.paused_at is null;
    return found;
end
$$;
comment on function pgq.pause is
    'Lets nobody claim from a queue, which need not have had a job yet; what runs goes on. False when it was paused already.';
select pgq._allow('pause', 'pgq_operator');
