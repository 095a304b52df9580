create or replace function pgq.sample()
returns integer
language sql
security definer
set search_path = ''
as $$
    select pgq._alone('sample', 'select pgq._sample()')::integer
$$;
comment on function pgq.sample is
    'Upkeep: once a minute notes how the counters stand, summed over all queues, for charts over time; how many it noted. Metrics: enqueued; finished (succeeded, cancelled); failed, attempts by reason (error, timeout, crashed, lost); dead, by reason.';
select pgq._allow('sample', 'pgq_worker', 'pgq_operator');

create or replace function pgq._sample()
returns bigint
language plpgsql
set search_path = ''
set jit = off
as $$
declare
    v_at  timestamptz := clock_timestamp();
    v_n   bigint;
begin
    -- By a clock that was set back, a sample may lie ahead.
    if exists (
        select from pgq.sample s where s.at between date_trunc('minute', v_at) and v_at
    ) then
        return 0;
    end if;
    insert into pgq.sample (at, metric, label, n)
    select v_at, t.metric, t.label, t.n
    from pgq._totals() t;
    get diagnostics v_n = row_count;
    return v_n;
end
$$;
comment on function pgq._sample is 'A round of pgq.sample.';
select pgq._allow('_sample');
