create or replace function pgq.register_worker(
    p_name    text,
    p_queues  text[],
    p_slots   integer,
    p_info    json default '{}',
    p_token   uuid default null
)
returns table (
    worker         bigint,
    lease          interval,
    heartbeat      interval,
    poll           interval,
    solo_children  integer
)
language plpgsql
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if not coalesce(length(p_name) between 1 and 200 and cardinality(p_queues) >= 1 and p_slots >= 1, false) then
        perform pgq._refuse(
            'PQ005',
            'bad arguments of register_worker',
            format('name %L, queues %L, slots %L; expected 1 to 200 characters, at least one queue and at least 1.',
                   left(p_name, 200), p_queues, p_slots),
            'Correct the call.'
        );
    end if;
    if json_typeof(p_info) <> 'object' or json_typeof(p_info -> 'tasks') not in ('object', 'null') then
        perform pgq._refuse(
            'PQ005',
            'bad info of a worker',
            format('info is %L; expected an object, and in it tasks as an object, or none.', left(p_info::text, 200)),
            'Correct the call.'
        );
    end if;
    return query
    with added as (
        insert into pgq.worker (name, queues, slots, info, tasks, token, expires_at)
        select
            p_name,
            p_queues,
            p_slots,
            coalesce(
                (select json_object_agg(e.key, e.value) from json_each(p_info) e where e.key <> 'tasks'), '{}'
            ),
            coalesce(nullif((p_info -> 'tasks')::text, 'null'), '{}')::json,
            p_token,
            pgq._clock() + s.lease
        from pgq.setting s
        returning id
    ),
    -- The same process, which had expired: it goes on draining.
    moved as (
        update pgq.drain_request d
        set worker = (select a.id from added a)
        where d.worker = any (array(
            select x.worker
            from pgq.drain_request x
            join pgq.worker w on w.id = x.worker
            where w.token = p_token
            for update of x skip locked
        ))
    )
    select a.id, s.lease, s.heartbeat, s.poll, s.solo_children
    from added a
    cross join pgq.setting s;
end
$$;
comment on function pgq.register_worker is
    'Enters a worker process, which from now on sends a heartbeat each heartbeat interval, with the same token if it gives one; its leases end one lease interval after the last one. p_info is what people may want to know about it; "tasks" in it names the tasks that it knows, each with the JSON Schema of its payloads or null, for pgq.list_tasks.';
select pgq._allow('register_worker', 'pgq_worker');
