create or replace function pgq.list_operations(p_limit integer default 50)
returns table (
    id           bigint,
    verb         text,
    filter       json,
    has_payload  boolean,
    rate         double precision,
    state        text,
    found        bigint,
    done         bigint,
    skipped      bigint,
    started_at   timestamptz,
    finished_at  timestamptz,
    by           text,
    message      text,
    most         bigint,
    expected     bigint
)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    perform pgq._check_limit(p_limit, 1000);
    return query select o.* from pgq._operation_status o order by o.id desc limit p_limit;
end
$$;
comment on function pgq.list_operations is
    'Operations, the newest first: running, done, stopped or failed. found were met, done were moved, skipped were not; most is how many it may move, expected how many there were at its start, null when they were too many to count.';
select pgq._allow('list_operations', 'pgq_viewer');
