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
    select v_at, k.metric, k.label, sum(k.n)
    from (
        -- There is a sample even before there is anything to count.
        select 'enqueued' as metric, '' as label, 0 as n
        union all
        select
            case
                when c.metric = 'transition' then case when c.label ~ '^(|http|python|cli)>' then 'enqueued' else 'finished' end
                when c.metric = 'attempt' then 'failed'
                else c.metric
            end,
            case
                when c.metric <> 'transition' then c.label
                when c.label ~ '^(|http|python|cli)>' then ''
                else split_part(c.label, '>', 2)
            end,
            c.n
        from (
            select c.metric, c.label, c.n from pgq.counter c
            union all
            select t.metric, t.label, t.n from pgq.tally t
        ) c
        where c.metric = 'transition'
            and (c.label ~ '^(|http|python|cli)>.' or c.label like '%>succeeded' or c.label like '%>cancelled')
            or c.metric = 'attempt' and c.label in ('error', 'timeout', 'crashed', 'lost')
            or c.metric = 'dead'
    ) k
    group by k.metric, k.label;
    get diagnostics v_n = row_count;
    return v_n;
end
$$;
comment on function pgq._sample is 'A round of pgq.sample.';
select pgq._allow('_sample');
