create or replace function pgq.release(
    p_ids     bigint[],
    p_tokens  uuid[],
    p_begun   boolean[] default null
)
returns table (
    id  bigint
)
language plpgsql
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_job    record;
    v_lease  pgq.lease;
begin
    for v_job in
        select u.*
        from unnest(p_ids, p_tokens, p_begun) u (id, token, begun)
        order by u.id
    loop
        delete from pgq.lease l
        where l.job_id = v_job.id
            and l.token = v_job.token
        returning l.* into v_lease;
        if found then
            perform pgq._put_back(v_lease, case when v_job.begun then 'released' end);
        else
            id := v_job.id;
            return next;
        end if;
    end loop;
end
$$;
comment on function pgq.release is
    'Gives running jobs back, uncharged, to start again at once; those whose handler had begun leave an attempt. Returns the ids whose lease was no longer that token''s.';
select pgq._allow('release', 'pgq_worker');
