create or replace function pgq._delayed_state(p_why text)
returns text
language sql
immutable
parallel safe
set search_path = ''
as $$
    select case when p_why = 'retry' then 'retrying' else 'scheduled' end
$$;
comment on function pgq._delayed_state is 'State of a job that is delayed, by the reason of the delay.';
select pgq._allow('_delayed_state');
