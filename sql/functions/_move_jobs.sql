create or replace function pgq._move_jobs(
    p_verb     text,
    p_states   text[],
    p_ids      bigint[],
    p_payload  json,
    p_until    timestamptz
)
returns table (
    id       bigint,
    outcome  text
)
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
    if p_verb = 'cancel' then
        return query select m.id, 'done' from pgq._cancel_jobs(p_ids, p_states) m (id);
    elsif p_verb = 'run_now' then
        return query select m.id, 'done' from pgq._run_jobs_now(p_ids, p_states) m (id);
    elsif p_verb = 'purge' then
        return query select m.id, 'done' from pgq._purge_jobs(p_ids) m (id);
    else
        return query select m.id, m.outcome from pgq._retry_jobs(p_ids, p_states, p_payload, p_until) m;
    end if;
end
$$;
comment on function pgq._move_jobs is
    'Does the verb of an operation to these jobs: done, refused for good, or left for want of time. Those of which nothing is said are in another state or somebody else is moving them.';
select pgq._allow('_move_jobs');

create or replace function pgq._cancel_jobs(p_ids bigint[], p_states text[])
returns setof bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    v_ids    bigint[];
    v_keyed  bigint[];
    v_lease  record;
begin
    with waited as (
        delete from pgq.delayed d
        where d.ctid = any (array(
            select x.ctid
            from pgq.delayed x
            where x.job_id = any (p_ids)
                and pgq._delayed_state(x.why) = any (p_states)
            order by x.job_id
            for update skip locked
        ))
        returning d.job_id, d.lane, d.attempt, d.has_key, pgq._delayed_state(d.why) as state
    ),
    stood as (
        delete from pgq.ready r
        where r.ctid = any (array(
            select x.ctid
            from pgq.ready x
            where x.job_id = any (p_ids)
                and 'ready' = any (p_states)
            order by x.job_id
            for update skip locked
        ))
        returning r.job_id, r.lane, r.attempt, r.has_key, 'ready'
    ),
    ended as (
        select w.* from waited w
        union all
        select s.* from stood s
    ),
    finished as (
        insert into pgq.finished (job_id, lane, outcome, attempt)
        select e.job_id, e.lane, 'cancelled', e.attempt
        from ended e
    ),
    counted as (
        insert into pgq.tally (queue, metric, label, n)
        select q.queue, 'transition', c.state || '>cancelled', sum(c.n)
        from (select e.lane, e.state, count(*) as n from ended e group by e.lane, e.state) c
        cross join lateral (
            select l.queue from pgq.lane l where l.lane = c.lane order by l.id limit 1
        ) q
        group by q.queue, c.state
    )
    select array_agg(e.job_id), array_agg(e.job_id) filter (where e.has_key)
    into v_ids, v_keyed
    from ended e;
    if v_keyed is not null then
        perform pgq._free_keys(v_keyed);
    end if;
    return query select i.id from unnest(v_ids) i (id);
    -- Shared and held to the end of the transaction, as pgq.cancel does.
    for v_lease in
        select l.job_id, l.worker, l.executor, l.token
        from pgq.lease l
        where l.job_id = any (p_ids)
            and 'running' = any (p_states)
        order by l.job_id
        for key share skip locked
    loop
        perform pgq._request_cancel(v_lease.job_id, v_lease.worker, v_lease.executor, v_lease.token);
        return next v_lease.job_id;
    end loop;
end
$$;
comment on function pgq._cancel_jobs is
    'What pgq.cancel does, to many: ends those that wait, asks for those that run, and passes those that somebody else is moving.';
select pgq._allow('_cancel_jobs');

create or replace function pgq._run_jobs_now(p_ids bigint[], p_states text[])
returns setof bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    v_ids bigint[];
begin
    with due as (
        delete from pgq.delayed d
        where d.ctid = any (array(
            select x.ctid
            from pgq.delayed x
            where x.job_id = any (p_ids)
                and pgq._delayed_state(x.why) = any (p_states)
            order by x.job_id
            for update skip locked
        ))
        returning d.*
    ),
    seated as (
        insert into pgq.ready (lane, job_id, due_at, attempt, crashes, suspect, has_key, unknown_since)
        select
            d.lane,
            d.job_id,
            coalesce(d.due_at, least(d.run_at, clock_timestamp())),
            d.attempt,
            d.crashes,
            d.suspect,
            d.has_key,
            d.unknown_since
        from due d
        order by d.job_id
    ),
    counted as (
        insert into pgq.tally (queue, metric, label, n)
        select q.queue, 'transition', c.state || '>ready', sum(c.n)
        from (
            select d.lane, pgq._delayed_state(d.why) as state, count(*) as n from due d group by 1, 2
        ) c
        cross join lateral (
            select l.queue from pgq.lane l where l.lane = c.lane order by l.id limit 1
        ) q
        group by q.queue, c.state
    )
    select array_agg(d.job_id) into v_ids from due d;
    -- So that a later retry does not wait for it either.
    update pgq.job j
    set run_at = now()
    where j.id = any (v_ids)
        and j.run_at > now();
    return query select i.id from unnest(v_ids) i (id);
end
$$;
comment on function pgq._run_jobs_now is
    'What pgq.run_now does, to many; those that somebody else is moving are passed.';
select pgq._allow('_run_jobs_now');

create or replace function pgq._purge_jobs(p_ids bigint[])
returns setof bigint
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    v_ids bigint[];
begin
    with gone as (
        delete from pgq.dead d
        where d.ctid = any (array(
            select x.ctid
            from pgq.dead x
            where x.job_id = any (p_ids)
            order by x.job_id
            for update skip locked
        ))
        returning d.job_id, d.lane
    ),
    counted as (
        insert into pgq.tally (queue, metric, label, n)
        select q.queue, 'transition', 'dead>', sum(c.n)
        from (select g.lane, count(*) as n from gone g group by g.lane) c
        cross join lateral (
            select l.queue from pgq.lane l where l.lane = c.lane order by l.id limit 1
        ) q
        group by q.queue
    )
    select array_agg(g.job_id) into v_ids from gone g;
    perform pgq._erase(v_ids);
    return query select i.id from unnest(v_ids) i (id);
end
$$;
comment on function pgq._purge_jobs is
    'Deletes these dead letters for good, but for those that somebody else is moving.';
select pgq._allow('_purge_jobs');

create or replace function pgq._retry_jobs(
    p_ids      bigint[],
    p_states   text[],
    p_payload  json,
    p_until    timestamptz
)
returns table (
    id       bigint,
    outcome  text
)
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    v_id         bigint;
    v_job        record;
    v_reason     text;
    v_payload    json;
    v_holder     bigint;
    v_dead       bigint[] := '{}';
    v_suspects   boolean[] := '{}';
    v_cancelled  bigint[] := '{}';
begin
    foreach v_id in array p_ids loop
        id := v_id;
        -- Keys may have to be waited for. One job is done at least.
        if clock_timestamp() > p_until and v_id > p_ids[1] then
            outcome := 'left';
            return next;
            continue;
        end if;
        v_reason := null;
        if 'dead' = any (p_states) then
            select d.reason into v_reason from pgq.dead d where d.job_id = v_id for update skip locked;
        end if;
        if v_reason is null then
            perform
            from pgq.finished f
            where f.job_id = v_id
                and f.outcome = any (p_states)
            for update skip locked;
            continue when not found;
        end if;
        select j.queue, j.unique_key, j.payload into v_job from pgq.job j where j.id = v_id;
        outcome := 'refused';
        if p_payload is not null then
            v_payload := pgq._merge_payload(v_job.payload, p_payload);
            if v_payload is null
                or octet_length(v_payload::text) > (select s.payload_limit from pgq._settings(v_job.queue) s)
            then
                return next;
                continue;
            end if;
        end if;
        if v_job.unique_key is not null then
            -- One that is taken is not waited for.
            v_holder := coalesce(
                (
                    select k.job_id
                    from pgq.unique_key k
                    where k.queue = v_job.queue
                        and k.key = v_job.unique_key
                ),
                pgq._retake_key(v_job.queue, v_job.unique_key, v_id)
            );
            continue when v_holder is null;
            if v_holder <> v_id then
                return next;
                continue;
            end if;
        end if;
        if p_payload is not null then
            update pgq.job j set payload = v_payload where j.id = v_id;
        end if;
        if v_reason is null then
            v_cancelled := v_cancelled || v_id;
        else
            v_dead := v_dead || v_id;
            v_suspects := v_suspects || (v_reason = 'crashed');
        end if;
        outcome := 'done';
        return next;
    end loop;
    delete from pgq.dead d where d.job_id = any (v_dead);
    delete from pgq.finished f where f.job_id = any (v_cancelled);
    perform pgq._revive(v_dead, v_suspects, 'dead');
    perform pgq._revive(v_cancelled, array_fill(false, array[cardinality(v_cancelled)]), 'cancelled');
end
$$;
comment on function pgq._retry_jobs is
    'What pgq.retry does, to many, until then: refused are those whose unique key is taken or whose payload cannot be changed. The keys of p_payload replace those of each.';
select pgq._allow('_retry_jobs');

create or replace function pgq._merge_payload(p_payload json, p_changes json)
returns json
language plpgsql
immutable
set search_path = ''
as $$
begin
    -- By its text: numbers stay as they were sent, however long they are.
    return (
        with changed as (
            select distinct on (c.key) c.key, c.value, c.n
            from json_each(p_changes) with ordinality c (key, value, n)
            order by c.key, c.n desc
        ),
        kept as (
            select e.key, e.value, e.n
            from json_each(p_payload) with ordinality e (key, value, n)
        )
        select '{' || coalesce(
            string_agg(to_json(m.key)::text || ':' || m.value, ',' order by m.place, m.n), ''
        ) || '}'
        from (
            select 1 as place, k.n, k.key, coalesce(c.value, k.value)::text as value
            from kept k
            left join changed c on c.key = k.key
            union all
            select 2, c.n, c.key, c.value::text
            from changed c
            where not exists (select from kept k where k.key = c.key)
        ) m
    )::json;
exception
    when others then
        return null;
end
$$;
comment on function pgq._merge_payload is
    'A payload with the top-level keys of another in place of its own; null when it is no object, or one that Postgres cannot take apart.';
select pgq._allow('_merge_payload');
