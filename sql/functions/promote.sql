create or replace function pgq.promote(p_limit integer default 5000)
returns integer
language sql
security definer
set search_path = ''
as $$
    select pgq._alone('promote', format('select pgq._promote(%s)', coalesce(p_limit, 5000)))::integer
$$;
comment on function pgq.promote is 'Upkeep: makes delayed jobs ready that are due, at most p_limit; how many.';
select pgq._allow('promote', 'pgq_worker', 'pgq_operator');

create or replace function pgq._promote(p_limit integer)
returns bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_now   timestamptz := clock_timestamp();
    v_from  timestamptz := '-infinity';
    v_last  timestamptz;
    v_n     bigint;
begin
    -- Rows may come to stand behind the cursor, when their transaction commits late or the clock is set
    -- back: a sweep from the beginning finds them.
    if not pgq._is_due('delayed_sweep', interval '10 seconds') then
        select to_timestamp(c.value / 1000000.0) - interval '5 seconds'
        into v_from
        from pgq.cursor c
        where c.stream = 'delayed'
        order by c.id desc
        limit 1;
        v_from := coalesce(v_from, '-infinity');
    end if;
    with due as (
        delete from pgq.delayed d
        where d.ctid = any (array(
            select x.ctid
            from pgq.delayed x
            where x.run_at >= v_from
                and x.run_at <= v_now
            order by x.run_at
            limit p_limit
            for update skip locked
        ))
        returning d.*
    ),
    seated as (
        insert into pgq.ready (lane, job_id, due_at, attempt, crashes, suspect, has_key, unknown_since)
        select
            d.lane,
            d.job_id,
            coalesce(d.due_at, d.run_at),
            d.attempt,
            d.crashes,
            d.suspect,
            d.has_key,
            d.unknown_since
        from due d
        order by d.run_at, d.job_id
    ),
    counted as (
        insert into pgq.tally (queue, metric, label, n)
        select
            q.queue,
            'transition',
            case when c.retry then 'retrying>ready' else 'scheduled>ready' end,
            sum(c.n)
        from (
            select d.lane, d.why = 'retry' as retry, count(*) as n from due d group by 1, 2
        ) c
        cross join lateral (
            select l.queue from pgq.lane l where l.lane = c.lane order by l.id limit 1
        ) q
        group by q.queue, c.retry
    )
    select count(*), max(d.run_at) into v_n, v_last from due d;
    if v_n < p_limit then
        v_last := v_now;
    end if;
    insert into pgq.cursor (stream, value)
    values ('delayed', (extract(epoch from v_last) * 1000000)::bigint);
    return v_n;
end
$$;
comment on function pgq._promote is 'Makes due jobs ready.';
select pgq._allow('_promote');
