create or replace view pgq._operation_status as
select
    o.id,
    o.verb,
    (
        o.filter - 'verb'
        || case when o.ids is null then '{}' else jsonb_build_object('ids', cardinality(o.ids)) end
    )::json as filter,
    o.payload is not null as has_payload,
    o.rate,
    o.state,
    o.found,
    o.done,
    o.skipped,
    o.started_at,
    o.finished_at,
    o.started_by as by,
    o.message,
    o.most,
    o.expected
from pgq.operation o;
comment on view pgq._operation_status is 'What is told of operations: how many ids were given, whether a payload was.';
