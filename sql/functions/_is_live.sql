create or replace function pgq._is_live(p_worker pgq.worker)
returns boolean
language sql
stable
set search_path = ''
as $$
    select p_worker.state <> 'offline' and p_worker.expires_at > pgq._clock()
$$;
comment on function pgq._is_live is 'Whether claim serves the worker.';
select pgq._allow('_is_live');
