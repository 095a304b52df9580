create or replace function pgq._refuse_worker(p_worker bigint)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform pgq._refuse(
        'PQ008',
        format('worker %s has expired', coalesce(p_worker::text, 'null')),
        'It is unknown, unregistered, or its heartbeat came too late. Its jobs run elsewhere.',
        'Drop its jobs and call pgq.register_worker for a new id.'
    );
end
$$;
comment on function pgq._refuse_worker is 'Raises PQ008.';
select pgq._allow('_refuse_worker');
