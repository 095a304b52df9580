create or replace function pgq.log_many(
    p_ids         bigint[],
    p_tokens      uuid[],
    p_messages    text[],
    p_levels      text[] default null,
    p_progresses  real[] default null,
    p_ages        double precision[] default null
)
returns table (
    id  bigint
)
language plpgsql
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_job     record;
    v_lines   integer;
    v_bytes   integer;
    v_last    record;
    v_lease   pgq.lease;
    v_lost    bigint[];
begin
    if exists (
        select
        from unnest(p_levels, p_progresses) u (level, progress)
        where u.level not in ('debug', 'info', 'warning', 'error', 'critical')
            or u.progress not between 0 and 1
    ) then
        perform pgq._refuse(
            'PQ005',
            'bad log line',
            format('levels %s, progress %s; expected debug, info, warning, error or critical, and 0 to 1.',
                   array(select distinct unnest(p_levels)), array(select distinct unnest(p_progresses))),
            'Correct the call: no line was kept.'
        );
    end if;
    select s.log_lines, s.log_bytes into v_lines, v_bytes from pgq.setting s;
    for v_job in
        select u.id, u.token
        from unnest(p_ids, p_tokens) u (id, token)
        group by u.id, u.token
        order by u.id
    loop
        -- The next number is one writer's at a time; the lease row itself may be locked by a completion.
        perform pg_advisory_xact_lock(1885827429, hashint8(v_job.id));
        select l.* into v_lease from pgq.lease l where l.job_id = v_job.id and l.token = v_job.token;
        if not found then
            id := v_job.id;
            v_lost := v_lost || id;
            return next;
            continue;
        end if;
        select g.n, g.bytes into v_last from pgq.log g where g.job_id = v_job.id order by g.n desc limit 1;
        continue when v_last.n >= v_lines or v_last.bytes >= v_bytes;
        insert into pgq.log (job_id, n, attempt, at, level, message, progress, bytes)
        select
            v_job.id,
            c.n,
            v_lease.attempt,
            clock_timestamp() - make_interval(secs => coalesce(c.age, 0)),
            case when c.full then 'warning' else coalesce(c.level, 'info') end,
            case when c.full then 'the log of this job is full: further lines are dropped' else c.message end,
            case when not c.full then c.progress end,
            case when c.full then v_bytes else c.bytes end
        from (
            select
                s.*,
                s.n >= v_lines or s.bytes >= v_bytes as full,
                lag(s.n >= v_lines or s.bytes >= v_bytes, 1, false) over (order by s.n) as was_full
            from (
                select
                    left(u.message, 100000) as message,
                    u.level,
                    u.progress,
                    u.age,
                    coalesce(v_last.n, 0) + row_number() over (order by u.i) as n,
                    coalesce(v_last.bytes, 0)
                        + sum(octet_length(left(u.message, 100000))) over (order by u.i) as bytes
                from unnest(p_ids, p_tokens, p_messages, p_levels, p_progresses, p_ages)
                    with ordinality u (id, token, message, level, progress, age, i)
                where u.id = v_job.id
                    and u.token = v_job.token
                    and u.message is not null
            ) s
        ) c
        where not c.was_full;
    end loop;
    if v_lost is not null then
        perform pgq._count_stale('log', v_lost);
    end if;
end
$$;
comment on function pgq.log_many is
    'Adds log lines and progress to running jobs, in the order given, until a job''s log is full. p_ages: how many seconds ago. Returns the ids whose lease is no longer that token''s.';
select pgq._allow('log_many', 'pgq_worker');
