create or replace function pgq.list_jobs(
    p_queue   text     default null,
    p_state   text     default null,
    p_task    text     default null,
    p_tag     text     default null,
    p_before  bigint   default null,
    p_limit   integer  default 50
)
returns setof pgq.job_status
language plpgsql
stable
security definer
set search_path = ''
-- The right plan goes down an index of ids from the newest, one job at a time (offset 0 keeps it from
-- being turned round). Said here, it holds on tables never analysed too.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    v_states text[] := array[
        'scheduled', 'ready', 'running', 'retrying', 'succeeded', 'cancelled', 'dead'
    ];
begin
    perform pgq._check_limit(p_limit, 10000);
    if p_state <> all (v_states) then
        perform pgq._refuse(
            'PQ005',
            'bad state',
            format('p_state is %L; expected one of %s.', left(p_state, 100), array_to_string(v_states, ', '))
        );
    end if;
    return query execute format(
        'select s.*
        from (select n.%1$I as id from %2$s n where n.%1$I < $1 and %3$s order by 1 desc limit 100000) n
        cross join lateral (
            select
            from pgq.job j
            where j.id = n.id
                and ($2 is null or j.queue = $2)
                and ($3 is null or j.task = $3)
                and ($4 is null or j.tags @> array[$4])
            offset 0
        ) j
        cross join lateral (select s.* from pgq.job_status s where s.id = n.id offset 0) s
        order by n.id desc
        limit $5',
        case when p_state is null then 'id' else 'job_id' end,
        case
            when p_state is null then 'pgq.job'
            when p_state in ('scheduled', 'retrying') then 'pgq.delayed'
            when p_state = 'running' then 'pgq.lease'
            when p_state in ('succeeded', 'cancelled') then 'pgq.finished'
            else 'pgq.' || p_state
        end,
        case
            when p_state in ('scheduled', 'retrying') then format('pgq._delayed_state(n.why) = %L', p_state)
            when p_state in ('succeeded', 'cancelled') then format('n.outcome = %L', p_state)
            else 'true'
        end
    )
    using coalesce(p_before, 9223372036854775807), p_queue, p_task, p_tag, p_limit;
end
$$;
comment on function pgq.list_jobs is
    'Jobs with their states, the newest first; p_before goes on below an id. By queue, task or tag it looks among the newest 100,000 of the state.';
select pgq._allow('list_jobs', 'pgq_viewer');
