create or replace function pgq._run_at(p_run_at timestamptz, p_delay interval)
returns timestamptz
language plpgsql
set search_path = ''
as $$
begin
    if p_delay is null then
        return p_run_at;
    end if;
    if p_run_at is not null then
        perform pgq._refuse(
            'PQ005',
            'both run_at and delay',
            format('run_at is %L and delay is %L; expected one of them.', p_run_at, p_delay),
            'Leave one out.'
        );
    end if;
    if p_delay < interval '0' or not isfinite(p_delay) then
        perform pgq._refuse(
            'PQ005',
            'bad delay',
            format('delay is %L; expected 0 or more.', p_delay),
            'Leave it out to run the job now.'
        );
    end if;
    -- Not now(), from which a long transaction may be far away.
    return clock_timestamp() + p_delay;
end
$$;
comment on function pgq._run_at is 'When a job may start for which a time or a delay was given, or neither.';
select pgq._allow('_run_at');
