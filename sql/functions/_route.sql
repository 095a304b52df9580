create or replace function pgq._take_key()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- What pgq._route will refuse takes no key.
    if length(new.unique_key) between 1 and 200 and length(new.queue) between 1 and 200 then
        insert into pgq.unique_key (queue, key, job_id)
        values (new.queue, new.unique_key, new.id)
        on conflict do nothing;
        if not found then
            return null;
        end if;
    end if;
    return new;
end
$$;
comment on function pgq._take_key is 'Takes the unique key of a new job, or skips the row when an unfinished job has it.';
select pgq._allow('_take_key');

create or replace function pgq._route()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_now    timestamptz := clock_timestamp(); -- a long transaction's later rows may be due as well
    v_group  record;
    v_job    pgq.job;
    v_jobs   integer := 0;
    v_limit  integer;
    v_later  boolean := false;
    v_ours   boolean;
    v_from   text := case current_setting('application_name')
        when 'pgq server' then 'http'
        when 'pgq client' then 'python'
        when 'pgq' then 'cli'
        else ''
    end;
begin
    for v_job in select n.* from new_rows n limit 2 loop
        v_jobs := v_jobs + 1;
    end loop;
    -- The usual case, in half of the time that the statements for many would take.
    if v_jobs = 1 then
        v_limit := coalesce(
            (select q.payload_limit from pgq.queue q where q.queue = v_job.queue),
            (select s.payload_limit from pgq.setting s)
        );
        -- Whether a closer look is needed: the conditions of pgq._check_job as far as they cost nothing.
        if not coalesce(
                octet_length(v_job.task) between 1 and 200
                and octet_length(v_job.queue) between 1 and 200
                and v_job.priority between 0 and 9
                and pg_column_size(v_job.payload) <= v_limit / 256,
                false
            )
            or not isfinite(v_job.run_at)
            or v_job.max_attempts not between 1 and 32767
            or v_job.timeout <= interval '0'
            or v_job.backoff_base < interval '0'
            or v_job.backoff_max < interval '0'
            or octet_length(v_job.unique_key) not between 1 and 200
            or cardinality(v_job.tags) > 0
            or json_typeof(v_job.headers) <> 'object'
        then
            perform pgq._check_job(v_job);
        end if;
        v_ours := starts_with(v_job.task, 'pgq.');
        if not exists (
            select
            from pgq.lane l
            where l.queue = v_job.queue
                and l.priority = v_job.priority
                and not l.suspect
                and l.reserved = v_ours
        ) then
            perform pgq._enter_lane(v_job.queue, v_job.priority, p_reserved => v_ours);
        end if;
        v_later := coalesce(v_job.run_at > v_now, false);
        insert into pgq.tally (queue, metric, label, n)
        values (v_job.queue, 'transition', v_from || case when v_later then '>scheduled' else '>ready' end, 1);
        if v_later then
            insert into pgq.delayed (run_at, job_id, lane, has_key, why)
            values (
                v_job.run_at,
                v_job.id,
                pgq._lane(v_job.queue, v_job.priority, p_reserved => v_ours),
                v_job.unique_key is not null,
                'scheduled'
            );
        else
            insert into pgq.ready (lane, job_id, has_key)
            values (
                hashtextextended(v_job.queue, v_job.priority * 2 + v_ours::integer * 20),
                v_job.id,
                v_job.unique_key is not null
            );
        end if;
        return null;
    end if;
    for v_group in
        select
            n.queue,
            n.priority,
            starts_with(n.task, 'pgq.') as ours,
            count(*) filter (where n.run_at > v_now) as later,
            count(*) as jobs,
            max(pg_column_size(n.payload)) as payload,
            bool_or(
                not coalesce(length(n.task) between 1 and 200, false)
                or not coalesce(length(n.queue) between 1 and 200, false)
                or not coalesce(n.priority between 0 and 9, false)
                or n.payload is null
                or not isfinite(n.run_at)
                or n.max_attempts not between 1 and 32767
                or n.timeout <= interval '0'
                or n.backoff_base < interval '0'
                or n.backoff_max < interval '0'
                or length(n.unique_key) not between 1 and 200
                or (cardinality(n.tags) > 0 and (
                    cardinality(n.tags) > 100
                    or exists (
                        select from unnest(n.tags) t (tag)
                        where t.tag is null or length(t.tag) not between 1 and 200
                    )
                ))
                or json_typeof(n.headers) <> 'object'
            ) as bad
        from new_rows n
        group by n.queue, n.priority, starts_with(n.task, 'pgq.')
    loop
        v_limit := (select x.payload_limit from pgq._settings(v_group.queue) x);
        if v_group.bad
            -- Its size as stored is quickly told; compressed, it is at least a 256th.
            or (v_group.payload > v_limit / 256 and exists (
                select
                from new_rows n
                where n.queue = v_group.queue
                    and n.priority = v_group.priority
                    and octet_length(n.payload::text) > v_limit
            ))
        then
            for v_job in
                select n.*
                from new_rows n
                where n.queue is not distinct from v_group.queue
                    and n.priority is not distinct from v_group.priority
            loop
                perform pgq._check_job(v_job);
            end loop;
        end if;
        if not exists (
            select
            from pgq.lane l
            where l.queue = v_group.queue
                and l.priority = v_group.priority
                and not l.suspect
                and l.reserved = v_group.ours
        ) then
            perform pgq._enter_lane(v_group.queue, v_group.priority, p_reserved => v_group.ours);
        end if;
        insert into pgq.tally (queue, metric, label, n)
        select v_group.queue, 'transition', v_from || t.label, t.n
        from (
            values ('>ready', v_group.jobs - v_group.later), ('>scheduled', v_group.later)
        ) t (label, n)
        where t.n > 0;
        v_later := v_later or v_group.later > 0;
    end loop;
    insert into pgq.ready (lane, job_id, has_key)
    select
        pg_catalog.hashtextextended(
            n.queue, n.priority * 2 + starts_with(n.task, 'pgq.')::integer * 20
        ),
        n.id,
        n.unique_key is not null
    from new_rows n
    where n.run_at is null
        or n.run_at <= v_now;
    if v_later then
        insert into pgq.delayed (run_at, job_id, lane, has_key, why)
        select
            n.run_at,
            n.id,
            pgq._lane(n.queue, n.priority, p_reserved => starts_with(n.task, 'pgq.')),
            n.unique_key is not null,
            'scheduled'
        from new_rows n
        where n.run_at > v_now;
    end if;
    return null;
end
$$;
comment on function pgq._route is
    'After an INSERT into job: refuses the statement when a value makes no sense (PQ005), and gives each job its state row.';
select pgq._allow('_route');
