create or replace function pgq.run_now(p_id bigint)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_delayed pgq.delayed;
begin
    select d.* into v_delayed from pgq.delayed d where d.job_id = p_id for update skip locked;
    if not found then
        perform pgq._refuse_state(p_id, 'run_now', array['scheduled', 'retrying']);
    end if;
    perform pgq._undelay(v_delayed, v_delayed.lane);
    -- So that a later retry does not wait for it either.
    update pgq.job j
    set run_at = now()
    where j.id = p_id
        and j.run_at > now();
end
$$;
comment on function pgq.run_now is
    'Makes a job ready that is scheduled or waits to retry. PQ003: it is in another state. PQ007: somebody else is moving it.';
select pgq._allow('run_now', 'pgq_operator');
