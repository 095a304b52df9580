create or replace function pgq.start(
    p_ids          bigint[],
    p_tokens       uuid[],
    p_ran_seconds  double precision[]
)
returns table (
    id  bigint
)
language plpgsql
security definer
set search_path = ''
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    v_clock  timestamptz := pgq._clock();
    v_known  bigint[];
begin
    with begun as (
        update pgq.lease l
        set
            started_at = now() - make_interval(secs => t.ran),
            -- The worker enforces the timeout; this is for one that does not.
            overdue_at = v_clock + t.timeout + 2 * t.lease - make_interval(secs => t.ran)
        from (
            select x.job_id, u.ran, t.timeout, t.lease
            from unnest(p_ids, p_tokens, p_ran_seconds) u (job_id, token, ran)
            cross join lateral (
                select x.job_id
                from pgq.lease x
                where x.job_id = u.job_id
                    and x.token = u.token
                offset 0
            ) x
            cross join lateral (
                select coalesce(j.timeout, q.timeout, s.timeout) as timeout, s.lease
                from pgq.job j
                left join pgq.queue q on q.queue = j.queue
                cross join pgq.setting s
                where j.id = u.job_id
                offset 0
            ) t
            order by x.job_id
        ) t
        where l.job_id = t.job_id
            and l.token = any (p_tokens)
        returning l.job_id
    )
    select array_agg(b.job_id) into v_known from begun b;
    return query
    select g.id
    from unnest(p_ids) g (id)
    where g.id <> all (coalesce(v_known, '{}'));
end
$$;
comment on function pgq.start is
    'Notes that handlers have been running for so many seconds; from then on upkeep backs up the worker in ending them at their timeout. Returns the ids whose lease is no longer that token''s.';
select pgq._allow('start', 'pgq_worker');
