create or replace function pgq.get_worker(p_id bigint)
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
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    return query
    select w.* from pgq._workers(p_id) w where w.id = p_id;
    if not found then
        perform pgq._refuse_record('worker', p_id);
    end if;
end
$$;
comment on function pgq.get_worker is
    'What pgq.list_workers tells of one worker. PQ009: no such worker; those that went are forgotten after a day.';
select pgq._allow('get_worker', 'pgq_viewer');
