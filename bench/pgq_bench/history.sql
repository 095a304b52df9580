-- A queue that has worked for weeks, for pgq_bench.history.

create schema history;

-- One of 1,000 jobs has task, queue, tag and user that no other has.
create function history.job(p_n bigint)
returns table (task text, payload json, queue text, priority integer, tags text[])
language sql
immutable
as $$
    select
        case when p_n % 1000 = 7 then 'rare' else 'task ' || p_n % 40 end,
        format(
            '{"to": "user%s@example.com", "user": {"id": %s, "plan": "pro"}, "note": "%s"}',
            p_n, case when p_n % 1000 = 7 then 42 else 1000 + p_n end, repeat('x', 120)
        )::json,
        case when p_n % 1000 = 7 then 'rare' else 'queue ' || p_n % 30 end,
        4 + (p_n / 30 % 3)::integer,
        case
            when p_n % 1000 = 7 then array['rare']
            when p_n % 10 = 0 then array['vip', 'eu']
            else '{}'
        end
$$;

-- A day of the past: so many jobs that ended, and a 50th of as many that are dead.
create procedure history.enter_day(p_day bigint, p_ended integer)
language plpgsql
as $$
declare
    v_jobs  integer := p_ended + p_ended / 50;
    v_job   text := pgq._partition_name('job', p_day::integer);
begin
    perform setval('pgq.job_id_seq', p_day << 32);
    perform pgq.partition(p_days => 1);
    create temp table made on commit drop as
    select
        (p_day << 32) + n as id,
        n,
        n % 51 = 0 as is_dead,
        to_timestamp(p_day * 86400 + n * 86000.0 / v_jobs) as created_at,
        j.*
    from generate_series(1, v_jobs) n
    cross join lateral history.job(n) j;
    -- Not by way of pgq.job, whose trigger would make them ready.
    execute format(
        'insert into pgq.%I (id, task, payload, queue, priority, tags, created_at) '
        'select m.id, m.task, m.payload, m.queue, m.priority, m.tags, m.created_at from made m',
        v_job
    );
    insert into pgq.finished (
        job_id, lane, outcome, token, attempt, worker, started_at, finished_at, result
    )
    select
        m.id,
        hashtextextended(m.queue, m.priority * 2),
        case when m.n % 50 = 9 then 'cancelled' else 'succeeded' end,
        gen_random_uuid(),
        case when m.n % 20 = 3 then 2 else 1 end,
        1 + m.n % 40,
        m.created_at + interval '1 second',
        m.created_at + interval '3 seconds',
        '{"sent": true}'
    from made m
    where not m.is_dead;
    insert into pgq.dead (
        job_id, lane, reason, fingerprint, error_class, message, attempt, crashes, worker, died_at,
        has_key
    )
    select
        m.id,
        hashtextextended(m.queue, m.priority * 2),
        'error',
        pgq._fingerprint(m.task, 'error', e.class, e.message),
        e.class,
        e.message,
        3,
        0,
        1 + m.n % 40,
        m.created_at + interval '5 minutes',
        false
    from made m
    cross join lateral (
        select
            (array['TimeoutError', 'KeyError', 'OperationalError'])[1 + m.n / 51 % 3] as class,
            format('connection %s closed', m.n) as message
    ) e
    where m.is_dead;
    insert into pgq.attempt (
        job_id, attempt, token, worker, executor, claimed_at, started_at, ended_at, reason, charged,
        error_class, message, traceback
    )
    select
        m.id,
        a.n,
        gen_random_uuid(),
        1 + m.n % 40,
        0,
        m.created_at + a.n * interval '1 minute',
        m.created_at + a.n * interval '1 minute',
        m.created_at + a.n * interval '1 minute' + interval '2 seconds',
        'error',
        true,
        'TimeoutError',
        format('connection %s closed', m.n),
        'Traceback (most recent call last):'
            || repeat(e'\n  File "/srv/app/tasks.py", line 41, in send', 10)
    from made m
    cross join lateral generate_series(1, case when m.is_dead then 3 else 1 end) a (n)
    where m.is_dead
        or m.n % 20 = 3;
    insert into pgq.log (job_id, n, attempt, at, level, message, progress, bytes)
    select m.id, l.n, 1, m.created_at, 'info', format('page %s', l.n), l.n / 5.0, l.n * 6
    from made m
    cross join generate_series(1, 5) l (n)
    where m.n % 50 = 11;
end
$$;

-- What the verbs would have counted, and upkeep noted, over these days.
create procedure history.enter_counts()
language sql
begin atomic
    insert into pgq.lane (lane, queue, priority, suspect, reserved)
    select distinct pgq._lane(j.queue, j.priority), j.queue, j.priority, false, false
    from generate_series(1, 90000) n
    cross join lateral history.job(n) j;

    insert into pgq.counter (queue, metric, label, n, sum)
    select q.queue, k.metric, k.label, sum(e.n), 0
    from (
        select f.lane, f.outcome, count(*) as n from pgq.finished f group by f.lane, f.outcome
        union all
        select d.lane, 'dead', count(*) from pgq.dead d group by d.lane
    ) e
    cross join lateral (select l.queue from pgq.lane l where l.lane = e.lane limit 1) q
    cross join lateral (
        select 'transition', '>ready'
        union all
        select 'transition', 'ready>running'
        union all
        select 'transition', 'running>' || e.outcome
        union all
        select x.metric, 'error' from unnest(array['dead', 'attempt']) x (metric)
        where e.outcome = 'dead'
    ) k (metric, label)
    group by q.queue, k.metric, k.label;

    insert into pgq.sample (at, metric, label, n)
    select now() - m * interval '1 minute', k.metric, k.label, (10000 - m) * k.n
    from generate_series(1, 48 * 60) m
    cross join (
        values
            ('enqueued', '', 90),
            ('finished', 'succeeded', 85),
            ('finished', 'cancelled', 2),
            ('failed', 'error', 6),
            ('failed', 'timeout', 1),
            ('dead', 'error', 2)
    ) k (metric, label, n);
end;

-- As producers enter jobs: one of four for later, some with unique keys.
create procedure history.enqueue(p_first bigint, p_last bigint)
language sql
begin atomic
    insert into pgq.job (task, payload, queue, priority, tags, run_at, unique_key)
    select
        j.*,
        case when n % 4 = 1 then now() + (60 + n % 10000) * interval '1 minute' end,
        case when n % 100 = 0 then 'key ' || n end
    from generate_series(p_first, p_last) n
    cross join lateral history.job(n) j;
end;
