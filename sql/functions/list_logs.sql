create or replace function pgq.list_logs(
    p_id      bigint,
    p_after   integer  default 0,
    p_limit   integer  default 1000,
    p_newest  boolean  default false
)
returns table (
    n         integer,
    attempt   integer,
    at        timestamptz,
    level     text,
    message   text,
    progress  real
)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    perform pgq._check_limit(p_limit, 10000);
    if p_newest then
        return query
        select l.n, l.attempt, l.at, l.level, l.message, l.progress
        from (
            select g.*
            from pgq.log g
            where g.job_id = p_id
                and g.n > coalesce(p_after, 0)
            order by g.n desc
            limit p_limit
        ) l
        order by l.n;
    else
        return query
        select g.n, g.attempt, g.at, g.level, g.message, g.progress
        from pgq.log g
        where g.job_id = p_id
            and g.n > coalesce(p_after, 0)
        order by g.n
        limit p_limit;
    end if;
end
$$;
comment on function pgq.list_logs is
    'Lines of a job''s log after number p_after, in their order; to follow it, ask again after the last number. p_newest: the last p_limit lines in place of the first.';
select pgq._allow('list_logs', 'pgq_viewer');
