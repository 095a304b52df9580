create or replace function pgq._job_filter(
    p_queue           text         default null,
    p_state           text         default null,
    p_task            text         default null,
    p_tag             text         default null,
    p_worker          bigint       default null,
    p_fingerprint     text         default null,
    p_created_after   timestamptz  default null,
    p_created_before  timestamptz  default null,
    p_path            text[]       default null,
    p_value           text         default null,
    p_queues          text[]       default null,
    p_verb            text         default null
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_states text[] := array[
        'scheduled', 'ready', 'running', 'retrying', 'succeeded', 'cancelled', 'dead'
    ];
begin
    if p_state <> all (v_states) then
        perform pgq._refuse(
            'PQ005',
            'bad state',
            format('p_state is %L; expected one of %s.', left(p_state, 100), array_to_string(v_states, ', '))
        );
    end if;
    if p_verb is not null and pgq._verb_states(p_verb) is null then
        perform pgq._refuse(
            'PQ005',
            'bad verb',
            format('p_verb is %L; expected cancel, retry, run_now or purge.', left(p_verb, 100))
        );
    end if;
    if coalesce(p_state, case when p_fingerprint is not null then 'dead' end)
        <> all (pgq._verb_states(p_verb))
    then
        perform pgq._refuse(
            'PQ005',
            format('%s takes no jobs of this state', p_verb),
            format('The filter is for jobs that are %s; expected %s.', coalesce(p_state, 'dead'),
                   array_to_string(pgq._verb_states(p_verb), ' or '))
        );
    end if;
    if (p_path is null) <> (p_value is null)
        or cardinality(p_path) not between 1 and 100
        or array_position(p_path, null) is not null
    then
        perform pgq._refuse(
            'PQ005',
            'bad filter by payload',
            format('p_path is %L and p_value is %L; expected a path of 1 to 100 names and a value, or neither.',
                   left(p_path::text, 100), left(p_value, 100))
        );
    end if;
    -- Whoever may compare payloads with values can read them. The caller is who called the verb.
    if p_path is not null and not has_function_privilege(
        coalesce(nullif(current_setting('role'), 'none'), session_user),
        'pgq.get_payload(bigint)',
        'execute'
    ) then
        perform pgq._refuse(
            '42501',
            'permission denied to filter by payload',
            'It takes the right to call pgq.get_payload.',
            'Ask as a member of pgq_operator.'
        );
    end if;
    return jsonb_strip_nulls(
        jsonb_build_object(
            'queue', p_queue,
            'state', p_state,
            'task', p_task,
            'tag', p_tag,
            'worker', p_worker,
            'fingerprint', p_fingerprint,
            'created_after', p_created_after,
            'created_before', p_created_before,
            'path', p_path,
            'value', p_value,
            'queues', p_queues,
            'verb', p_verb
        )
    );
end
$$;
comment on function pgq._job_filter is
    'What jobs are looked for, as pgq._find_jobs takes it. PQ005: a value makes no sense. 42501: the caller may not see payloads.';
select pgq._allow('_job_filter');

create or replace function pgq._verb_states(p_verb text)
returns text[]
language sql
immutable
set search_path = ''
as $$
    select case p_verb
        when 'cancel' then '{scheduled,ready,retrying,running}'::text[]
        when 'retry' then '{dead,cancelled}'
        when 'run_now' then '{scheduled,retrying}'
        when 'purge' then '{dead}'
    end
$$;
comment on function pgq._verb_states is 'States that the verb of an operation takes jobs in; null: there is no such verb.';
select pgq._allow('_verb_states');

create or replace function pgq._payload_has(p_payload json, p_path text[], p_value text)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
begin
    return coalesce(p_payload #>> p_path = p_value, false);
exception
    when others then
        begin
            -- Postgres takes \u0000 and half surrogate pairs in, but gives them out to nobody.
            return coalesce(
                regexp_replace(
                    p_payload::text, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\ufffd', 'g'
                )::json #>> p_path = p_value,
                false
            );
        exception
            when others then
                return false;
        end;
end
$$;
comment on function pgq._payload_has is
    'Whether this stands at a place of a payload, compared as text. Never raises, and never makes more of a payload than was sent.';
select pgq._allow('_payload_has');

create or replace function pgq._find_jobs(
    p_filter        jsonb,
    p_after         bigint,
    p_before        bigint,
    p_oldest_first  boolean,
    p_most          integer,
    p_rows          integer,
    p_budget        interval,
    p_ids           bigint[]  default null
)
returns table (
    id         bigint,
    looked_to  bigint
)
language plpgsql
stable
set search_path = ''
-- The right plan goes down indexes of ids, one job at a time. Said here, it holds on tables never
-- analysed too. Look-ups are scalar: an EXISTS might read a whole table.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
    v_until    timestamptz := clock_timestamp() + p_budget;
    v_queues   text[] := array(
        select q.queue from jsonb_array_elements_text(p_filter -> 'queues') q (queue)
    );
    v_path     text[] := array(
        select n.name from jsonb_array_elements_text(p_filter -> 'path') n (name)
    );
    v_since    timestamptz := p_filter ->> 'created_after';
    v_till     timestamptz := p_filter ->> 'created_before';
    v_after    bigint := coalesce(p_after, 0);
    v_before   bigint := coalesce(p_before, 9223372036854775807);
    v_of_job   text[];
    v_match    text[];
    v_states   text[];
    v_lanes    bigint[];
    v_sources  text;
    v_row      record;
begin
    if p_rows is null or p_rows not between 1 and 10000000
        or p_budget is null or p_budget not between interval '0' and interval '1 minute'
    then
        perform pgq._refuse(
            'PQ005',
            'bad bounds of a search',
            format('p_rows is %s and p_budget is %s; expected 1 to 10000000 and 0 to 1 minute.',
                   coalesce(p_rows::text, 'null'), coalesce(p_budget::text, 'null')),
            'A search that stops says where it goes on.'
        );
    end if;
    if cardinality(p_ids) > 10000 then
        perform pgq._refuse(
            'PQ005',
            'too many ids',
            format('p_ids has %s; expected at most 10000.', cardinality(p_ids)),
            'Use a filter.'
        );
    end if;
    -- Ids name the day on which they were drawn, in a transaction that is taken to have begun on it or
    -- on the day before. While no upkeep ran, they went on in the last day that has any.
    if isfinite(v_since) then
        v_after := greatest(v_after, (
            select (max(j.id) >> 32 << 32) - 1
            from pgq.job j
            where j.id < (floor(extract(epoch from v_since) / 86400)::bigint - 1) << 32
        ));
    end if;
    if isfinite(v_till) then
        v_before := least(
            v_before, (floor(extract(epoch from v_till) / 86400)::bigint + 2) << 32
        );
    end if;

    v_of_job := array_remove(array[
        case when p_filter ? 'task' then 'j.task = $9' end,
        case when p_filter ? 'tag' then 'j.tags @> array[$10]' end,
        case when p_filter ? 'created_after' then 'j.created_at >= $12' end,
        case when p_filter ? 'created_before' then 'j.created_at < $13' end,
        -- Nearly all payloads are quickly told: without escapes the value stands there as it is.
        case when p_filter ? 'path' then
            '(strpos(j.payload::text, $15) > 0 or strpos(j.payload::text, ''\'') > 0) '
            'and pgq._payload_has(j.payload, $14, $15)'
        end
    ], null);
    v_states := case
        when p_filter ? 'state' then array[p_filter ->> 'state']
        when p_filter ? 'fingerprint' then '{dead}'
        when p_filter ? 'verb' then pgq._verb_states(p_filter ->> 'verb')
        -- No other job has a worker, and their rows name it.
        when p_filter ? 'worker' then '{running,succeeded,cancelled,dead}'
    end;
    if v_states is null then
        v_sources := 'select j.* from pgq.job j';
        v_match := array_remove(
            array[
                case when p_filter ? 'queue' then 'j.queue = $7' end,
                case when p_filter ? 'queues' then 'j.queue = any ($8)' end
            ] || v_of_job || array[
                'coalesce((select 1 from pgq.finished f where f.job_id = j.id), '
                '(select 1 from pgq.ready r where r.job_id = j.id), '
                '(select 1 from pgq.lease l where l.job_id = j.id), '
                '(select 1 from pgq.delayed y where y.job_id = j.id), '
                '(select 1 from pgq.dead d where d.job_id = j.id)) is not null'
            ],
            null
        );
    else
        -- The lane tells the queue without a look at the job.
        if p_filter ?| array['queue', 'queues'] then
            v_lanes := array(
                select distinct l.lane
                from pgq.lane l
                where (not p_filter ? 'queue' or l.queue = p_filter ->> 'queue')
                    and (not p_filter ? 'queues' or l.queue = any (v_queues))
            );
        end if;
        select string_agg(
            -- Each in order: Postgres would sort all rows of all of them, not merge them.
            format('(select x.job_id as id, x.lane, %s as worker, %s as fits from pgq.%I x where %s '
                   'order by x.job_id %s)',
                   s.worker, s.fits, s.source, s.condition,
                   case when p_oldest_first then 'asc' else 'desc' end),
            ' union all '
        )
        into v_sources
        from (
            values
                (
                    'delayed',
                    '{scheduled,retrying}'::text[],
                    'null::bigint',
                    case when 'retrying' = any (v_states) then 'true' else 'x.why <> ''retry''' end,
                    case when 'scheduled' = any (v_states) then 'true' else 'x.why = ''retry''' end
                ),
                ('ready', '{ready}', 'null::bigint', 'true', 'true'),
                ('lease', '{running}', 'x.worker', 'true', 'true'),
                (
                    'finished',
                    '{succeeded,cancelled}',
                    'x.worker',
                    format('x.outcome = any (%L)', v_states),
                    'true'
                ),
                (
                    'dead',
                    '{dead}',
                    'x.worker',
                    'true',
                    case when p_filter ? 'fingerprint' then 'x.fingerprint = $16' else 'true' end
                )
        ) s (source, states, worker, fits, condition)
        where s.states && v_states
            and (not p_filter ? 'worker' or s.worker = 'x.worker')
            and (not p_filter ? 'fingerprint' or s.source = 'dead');
        v_match := array_remove(
            array[
                'r.fits',
                case when v_lanes is not null then 'r.lane = any ($17)' end,
                case when p_filter ? 'worker' then 'r.worker = $11' end,
                case
                    when v_of_job <> '{}' then format(
                        '(select true from pgq.job j where j.id = r.id and %s)',
                        array_to_string(v_of_job, ' and ')
                    )
                end
            ],
            null
        );
    end if;
    if v_sources is null or v_lanes = '{}' then
        return;
    end if;

    -- When it is late, whatever comes next is found, so that the loop hears of it.
    for v_row in execute format(
        'select %1$I.id, l.late
        from (
            select s.*, row_number() over (order by s.id %2$s) as n
            from (%3$s) s
            where s.id > $1
                and s.id < $2
                and %4$s
            order by s.id %2$s
            limit $4 + 1
        ) %1$I
        cross join lateral (
            select %1$I.n > $4 or %1$I.n > 1 and clock_timestamp() > $5 as late
            offset 0
        ) l
        where case when l.late then true else %5$s end
        order by %1$I.id %2$s
        limit $6',
        case when v_states is null then 'j' else 'r' end,
        case when p_oldest_first then 'asc' else 'desc' end,
        v_sources,
        case when p_ids is null then 'true' else 's.id = any ($3)' end,
        array_to_string(v_match, ' and ')
    )
    using
        v_after,
        v_before,
        p_ids,
        p_rows,
        v_until,
        p_most,
        p_filter ->> 'queue',
        v_queues,
        p_filter ->> 'task',
        p_filter ->> 'tag',
        (p_filter ->> 'worker')::bigint,
        v_since,
        v_till,
        v_path,
        p_filter ->> 'value',
        p_filter ->> 'fingerprint',
        v_lanes
    loop
        if v_row.late then
            id := null;
            looked_to := v_row.id + case when p_oldest_first then -1 else 1 end;
            return next;
            return;
        end if;
        id := v_row.id;
        return next;
    end loop;
end
$$;
comment on function pgq._find_jobs is
    'Ids of jobs that pass a filter, between two ids, in their order: p_most of them, or those among the next p_rows that it could look at within p_budget, and at least at one. When it stops for these, the last row has no id, and says from which id to go on. By verb: jobs in a state that it takes.';
select pgq._allow('_find_jobs');
