create or replace function pgq.list_workers()
returns table (
    id            bigint,
    name          text,
    state         text,
    queues        text[],
    slots         integer,
    busy          integer,
    started_at    timestamptz,
    heartbeat_at  timestamptz,
    info          json
)
language sql
stable
security definer
set search_path = ''
as $$
    select w.* from pgq._workers(null) w order by w.id
$$;
comment on function pgq.list_workers is
    'Workers, and those that went lately (offline); draining from the moment that somebody asks. busy is what they said at their last heartbeat.';
select pgq._allow('list_workers', 'pgq_viewer');

create or replace function pgq._workers(p_id bigint)
returns table (
    id            bigint,
    name          text,
    state         text,
    queues        text[],
    slots         integer,
    busy          integer,
    started_at    timestamptz,
    heartbeat_at  timestamptz,
    info          json
)
language sql
stable
set search_path = ''
as $$
    select
        w.id,
        w.name,
        case
            when v.id is null then 'offline'
            when d.worker is not null then 'draining'
            else w.state
        end,
        w.queues,
        w.slots,
        w.busy,
        w.started_at,
        w.heartbeat_at,
        w.info
    from pgq.worker w
    left join pgq._live_worker v on v.id = w.id
    left join pgq.drain_request d on d.worker = w.id
    where p_id is null
        or w.id = p_id
$$;
comment on function pgq._workers is 'What pgq.list_workers tells, of all workers or of one.';
select pgq._allow('_workers');
