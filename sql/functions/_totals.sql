create or replace function pgq._totals()
returns table (
    metric  text,
    label   text,
    n       bigint
)
language sql
stable
set search_path = ''
set jit = off
as $$
    select k.metric, k.label, sum(k.n)::bigint
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
    group by k.metric, k.label
$$;
comment on function pgq._totals is 'How the counters that pgq.sample notes stand now, over all queues.';
select pgq._allow('_totals');
