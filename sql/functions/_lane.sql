create or replace function pgq._lane(
    p_queue     text,
    p_priority  integer,
    p_suspect   boolean default false,
    p_reserved  boolean default false
)
returns bigint
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
    return pg_catalog.hashtextextended(p_queue, p_priority * 2 + p_suspect::integer + p_reserved::integer * 20);
end
$$;
comment on function pgq._lane is
    'Number of a lane. Two producers of a new queue find the same one without waiting for each other; were it to differ between machines, the queue would have two lanes of one priority.';
select pgq._allow('_lane');
