create or replace function pgq.get_operation(p_id bigint)
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
    return query select o.* from pgq._operation_status o where o.id = p_id;
    if not found then
        perform pgq._refuse_record('operation', p_id);
    end if;
end
$$;
comment on function pgq.get_operation is
    'How far an operation is. PQ009: no such operation; those that have ended are forgotten after 30 days.';
select pgq._allow('get_operation', 'pgq_viewer');
