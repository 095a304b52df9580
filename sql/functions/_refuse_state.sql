create or replace function pgq._refuse_state(p_id bigint, p_verb text, p_allowed text[])
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_state text := (select s.state from pgq.job_status s where s.id = p_id);
begin
    if v_state is null then
        perform pgq._refuse(
            'PQ002',
            format('no job %s', coalesce(p_id::text, 'null')),
            'It never existed, was purged, or ended longer ago than jobs are kept.'
        );
    elsif v_state = any (p_allowed) then
        perform pgq._refuse(
            'PQ007',
            format('job %s is busy: cannot %s it', p_id, p_verb),
            format('It is %s and another transaction is moving it.', v_state),
            'Try again.'
        );
    end if;
    perform pgq._refuse(
        'PQ003',
        format('job %s is %s: cannot %s it', p_id, v_state, p_verb),
        format('%s takes a job that is %s.', p_verb, array_to_string(p_allowed, ' or '))
    );
end
$$;
comment on function pgq._refuse_state is
    'Raises what is true of a job whose state row a verb could not take: PQ002 no such job, PQ007 somebody else has the row, PQ003 it is in another state.';
select pgq._allow('_refuse_state');
