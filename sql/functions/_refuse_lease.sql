create or replace function pgq._refuse_lease(p_id bigint, p_verb text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform pgq._refuse(
        'PQ001',
        format('cannot %s job %s: its lease is not this token''s', p_verb, coalesce(p_id::text, 'null')),
        format('The job is %s.', coalesce(
            (select s.state from pgq.job_status s where s.id = p_id), 'unknown'
        )),
        'It was lost, ended or given back. Drop it: what is done about it now belongs to its new holder.'
    );
end
$$;
comment on function pgq._refuse_lease is 'Raises PQ001.';
select pgq._allow('_refuse_lease');
