create or replace function pgq._undelay(p_delayed pgq.delayed, p_lane bigint)
returns void
language plpgsql
set search_path = ''
as $$
begin
    delete from pgq.delayed d where d.job_id = p_delayed.job_id;
    insert into pgq.ready (lane, job_id, due_at, attempt, crashes, suspect, has_key, unknown_since)
    values (
        p_lane,
        p_delayed.job_id,
        coalesce(p_delayed.due_at, least(p_delayed.run_at, clock_timestamp())),
        p_delayed.attempt,
        p_delayed.crashes,
        p_delayed.suspect,
        p_delayed.has_key,
        p_delayed.unknown_since
    );
    perform pgq._count(p_lane, 'transition', pgq._delayed_state(p_delayed.why) || '>ready');
end
$$;
comment on function pgq._undelay is 'Moves a delayed job, whose row the caller has locked, into a lane now.';
select pgq._allow('_undelay');
