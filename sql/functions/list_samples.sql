create or replace function pgq.list_samples(
    p_after  timestamptz  default null,
    p_limit  integer      default 3000,
    p_every  interval     default null,
    p_now    boolean      default false
)
returns table (
    at      timestamptz,
    metric  text,
    label   text,
    n       bigint
)
language plpgsql
stable
security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
begin
    perform pgq._check_limit(p_limit, 50000);
    if p_every < interval '1 second' then
        perform pgq._refuse('PQ005', 'bad p_every', format('It is %s; expected a second or more.', p_every));
    end if;
    return query
    select s.at, s.metric, s.label, s.n
    from (
        select s.*
        from pgq.sample s
        where s.at > coalesce(p_after, '-infinity')
            and (p_every is null or s.at in (
                select min(x.at)
                from pgq.sample x
                where x.at > coalesce(p_after, '-infinity')
                group by date_bin(p_every, x.at, 'epoch')
            ))
        order by s.at
        fetch first p_limit rows with ties
    ) s
    order by s.at, s.metric, s.label;
    if p_now then
        return query
        select statement_timestamp(), t.metric, t.label, t.n
        from pgq._totals() t
        order by t.metric, t.label;
    end if;
end
$$;
comment on function pgq.list_samples is
    'What pgq.sample noted after a time, in the order of time, for two days back: totals since the installation, whose differences are what happened in between. The last time is told whole, whatever the limit, so that one may go on after it. p_every: only the first of each such stretch of time. p_now: last comes how they stand now, whatever the limit.';
select pgq._allow('list_samples', 'pgq_viewer');
