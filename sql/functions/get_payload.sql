create or replace function pgq.get_payload(p_id bigint)
returns table (payload json, headers json, result json)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    return query
    select j.payload, j.headers, f.result
    from pgq.job j
    left join pgq.finished f on f.job_id = j.id
    where j.id = p_id;
    if not found then
        perform pgq._refuse_state(p_id, 'get_payload', '{}');
    end if;
end
$$;
comment on function pgq.get_payload is
    'What a job was given and, when it has succeeded, what it returned. PQ002: no such job.';
select pgq._allow('get_payload', 'pgq_worker', 'pgq_operator');
