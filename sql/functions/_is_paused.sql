create or replace function pgq._is_paused(p_queue text)
returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (
        select from pgq.queue q where q.queue = p_queue and q.paused_at is not null
    )
$$;
comment on function pgq._is_paused is 'Whether claim skips the queue.';
select pgq._allow('_is_paused');
