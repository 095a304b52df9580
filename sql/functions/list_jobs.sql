create or replace function pgq.list_jobs(
    p_queue           text         default null,
    p_state           text         default null,
    p_task            text         default null,
    p_tag             text         default null,
    p_before          bigint       default null,
    p_limit           integer      default 50,
    p_worker          bigint       default null,
    p_created_after   timestamptz  default null,
    p_created_before  timestamptz  default null,
    p_path            text[]       default null,
    p_value           text         default null,
    p_after           bigint       default null,
    p_queues          text[]       default null,
    p_rows            integer      default 100000,
    p_budget          interval     default interval '2 seconds'
)
returns table (
    id           bigint,
    task         text,
    queue        text,
    priority     integer,
    state        text,
    attempt      integer,
    crashes      integer,
    suspect      boolean,
    run_at       timestamptz,
    created_at   timestamptz,
    claimed_at   timestamptz,
    started_at   timestamptz,
    finished_at  timestamptz,
    worker       bigint,
    tags         text[],
    looked_to    bigint
)
language plpgsql
stable
security definer
set search_path = ''
-- The right plan looks each job up by its id. Said here, it holds on tables never analysed too.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
    perform pgq._check_limit(p_limit, 10000);
    return query
    select s.*, f.looked_to
    from pgq._find_jobs(
        pgq._job_filter(
            p_queue => p_queue,
            p_state => p_state,
            p_task => p_task,
            p_tag => p_tag,
            p_worker => p_worker,
            p_created_after => p_created_after,
            p_created_before => p_created_before,
            p_path => p_path,
            p_value => p_value,
            p_queues => p_queues
        ),
        p_after => p_after,
        p_before => p_before,
        p_oldest_first => p_after is not null,
        p_most => p_limit,
        p_rows => p_rows,
        p_budget => p_budget
    ) with ordinality f (id, looked_to, n)
    left join lateral (select s.* from pgq.job_status s where s.id = f.id offset 0) s on true
    order by f.n;
end
$$;
comment on function pgq.list_jobs is
    'Jobs with their states, the newest first; p_before goes on below an id; p_after gives the oldest above an id first. p_worker: which runs it, or was the last to. p_path and p_value: what stands at this place of the payload, as text. It looks at p_rows jobs of the state at most, for p_budget; when that ended the search, the last row has no id, and looked_to says from which id to go on. 42501: the caller may not see payloads.';
select pgq._allow('list_jobs', 'pgq_viewer');
