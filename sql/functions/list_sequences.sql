create or replace function pgq.list_sequences()
returns table (
    sequence    text,
    last_value  bigint,
    most        bigint
)
language sql
stable
security definer
set search_path = ''
as $$
    select
        s.sequencename::text,
        coalesce(s.last_value, s.start_value),
        -- Ids stay numbers that every JSON parser reads exactly.
        case when s.sequencename = 'job_id_seq' then (1::bigint << 53) - 1 else s.max_value end
    from pg_catalog.pg_sequences s
    where s.schemaname = 'pgq'
    order by 1
$$;
comment on function pgq.list_sequences is
    'The queue''s own sequences: their last value, and the most that they may come to.';
select pgq._allow('list_sequences', 'pgq_viewer');
