create or replace function pgq.resume(p_queue text)
returns boolean
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform pgq._check_queue(p_queue);
    update pgq.queue q
    set paused_at = null
    where q.queue = p_queue
        and q.paused_at is not null;
    return found;
end
$$;
comment on function pgq.resume is
    'Lets a paused queue be claimed from again; workers find its jobs at their next poll. False when it was not paused.';
select pgq._allow('resume', 'pgq_operator');
