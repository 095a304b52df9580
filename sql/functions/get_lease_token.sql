create or replace function pgq.get_lease_token(p_id bigint, p_worker bigint)
returns uuid
language sql
stable
security definer
set search_path = ''
as $$
    select l.token from pgq.lease l where l.job_id = p_id and l.worker = p_worker
$$;
comment on function pgq.get_lease_token is
    'Token of the lease by which this worker runs a job now; null when it does not. For reports of workers that keep no tokens.';
select pgq._allow('get_lease_token', 'pgq_worker');
