create or replace function pgq._refuse_record(p_kind text, p_id bigint)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform pgq._refuse(
        'PQ009',
        format('no %s %s', p_kind, coalesce(p_id::text, 'null')),
        format('There is no %s of this id, or no longer.', p_kind),
        format('Look at the ids that list_%ss gives.', p_kind)
    );
end
$$;
comment on function pgq._refuse_record is 'Raises PQ009 for a worker, a token or an operation.';
select pgq._allow('_refuse_record');
