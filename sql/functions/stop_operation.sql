create or replace function pgq.stop_operation(p_id bigint)
returns boolean
language plpgsql
security definer
set search_path = ''
-- A slice lasts a second at most.
set lock_timeout = '5s'
as $$
declare
    v_state text;
begin
    select o.state into v_state from pgq.operation o where o.id = p_id for no key update;
    if not found then
        perform pgq._refuse_record('operation', p_id);
    end if;
    if v_state = 'running' then
        perform pgq._end_operation(p_id, 'stopped');
    end if;
    return v_state = 'running';
exception
    when lock_not_available then
        perform pgq._refuse(
            'PQ007',
            format('operation %s is busy', p_id),
            'Another transaction works on it, and does not end.',
            'Try again.'
        );
end
$$;
comment on function pgq.stop_operation is
    'Ends an operation before its time; what it has done stays done. False when it had ended. PQ009: no such operation. PQ007: somebody works on it in a transaction that does not end.';
select pgq._allow('stop_operation', 'pgq_operator');
