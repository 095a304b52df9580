create or replace function pgq.get_jobs(p_ids bigint[])
returns table (
    id                bigint,
    task              text,
    queue             text,
    priority          integer,
    state             text,
    attempt           integer,
    max_attempts      integer,
    crashes           integer,
    suspect           boolean,
    run_at            timestamptz,
    created_at        timestamptz,
    claimed_at        timestamptz,
    started_at        timestamptz,
    finished_at       timestamptz,
    worker            bigint,
    worker_name       text,
    timeout           interval,
    unique_key        text,
    tags              text[],
    reason            text,
    error_class       text,
    message           text,
    cancel_requested  boolean
)
language plpgsql
stable
security definer
set search_path = ''
set jit = off
as $$
begin
    perform pgq._check_array('ids', cardinality(p_ids), 10000);
    return query
    select g.*
    from unnest(p_ids) with ordinality i (id, n)
    cross join lateral pgq.get_job(i.id) g
    where (select true from pgq.job_status s where s.id = i.id)
    order by i.n;
end
$$;
comment on function pgq.get_jobs is
    'What pgq.get_job tells, of many jobs, in the order in which they are named; those that are not there are left out.';
select pgq._allow('get_jobs', 'pgq_worker', 'pgq_viewer');
