create or replace function pgq.count_jobs(
    p_queue           text         default null,
    p_state           text         default null,
    p_task            text         default null,
    p_tag             text         default null,
    p_before          bigint       default null,
    p_cap             integer      default 10000,
    p_worker          bigint       default null,
    p_created_after   timestamptz  default null,
    p_created_before  timestamptz  default null,
    p_path            text[]       default null,
    p_value           text         default null,
    p_queues          text[]       default null,
    p_rows            integer      default 100000,
    p_budget          interval     default interval '2 seconds',
    p_fingerprint     text         default null,
    p_ids             bigint[]     default null,
    p_verb            text         default null
)
returns table (
    n          bigint,
    capped     boolean,
    looked_to  bigint
)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if p_cap is null or p_cap not between 1 and 1000000 then
        perform pgq._refuse(
            'PQ005',
            'bad cap',
            format('p_cap is %s; expected 1 to 1000000.', coalesce(p_cap::text, 'null'))
        );
    end if;
    return query
    select least(count(f.id), p_cap), count(f.id) > p_cap, max(f.looked_to)
    from pgq._find_jobs(
        pgq._job_filter(
            p_queue => p_queue,
            p_state => p_state,
            p_task => p_task,
            p_tag => p_tag,
            p_worker => p_worker,
            p_fingerprint => p_fingerprint,
            p_created_after => p_created_after,
            p_created_before => p_created_before,
            p_path => p_path,
            p_value => p_value,
            p_queues => p_queues,
            p_verb => p_verb
        ),
        p_after => null,
        p_before => p_before,
        p_oldest_first => false,
        p_most => p_cap + 1,
        p_rows => p_rows,
        p_budget => p_budget,
        p_ids => p_ids
    ) f;
end
$$;
comment on function pgq.count_jobs is
    'How many jobs pass a filter, the newest first, up to p_cap; capped: there are more. It looks at p_rows jobs at most, for p_budget; when that ended the count, looked_to is the id below which it goes on. p_verb: those that an operation of this verb would find.';
select pgq._allow('count_jobs', 'pgq_viewer');
