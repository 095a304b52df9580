create or replace function pgq.operate(p_limit integer default 1000)
returns integer
language sql
security definer
set search_path = ''
as $$
    select pgq._alone('operate', format('select pgq._operate(%s)', coalesce(p_limit, 1000)))::integer
$$;
comment on function pgq.operate is
    'Upkeep: a slice of each running operation, those first that have waited longest, at most p_limit jobs together; how many it met.';
select pgq._allow('operate', 'pgq_worker', 'pgq_operator');

create or replace function pgq._operate(p_limit integer)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_until      timestamptz := clock_timestamp() + interval '500 milliseconds';
    v_id         bigint;
    v_operation  pgq.operation;
    v_n          bigint := 0;
    v_message    text;
begin
    for v_id in
        select o.id from pgq.operation o where o.state = 'running' order by o.credit_at, o.id limit 100
    loop
        exit when v_n >= p_limit or clock_timestamp() > v_until;
        -- As it is now: locked, so that nobody else works on it or stops it.
        select o.*
        into v_operation
        from pgq.operation o
        where o.id = v_id
            and o.state = 'running'
        for no key update skip locked;
        continue when not found;
        begin
            v_n := v_n + pgq._operate_slice(v_operation, (p_limit - v_n)::integer);
        exception
            when transaction_rollback or lock_not_available or insufficient_resources then
                null; -- The next round tries again.
            when others then
                get stacked diagnostics v_message = message_text;
                perform pgq._end_operation(v_id, 'failed', v_message);
        end;
    end loop;
    return v_n;
end
$$;
comment on function pgq._operate is 'A round of pgq.operate.';
select pgq._allow('_operate');

create or replace function pgq._end_operation(p_id bigint, p_state text, p_message text default null)
returns void
language sql
set search_path = ''
as $$
    update pgq.operation o
    set state = p_state,
        finished_at = clock_timestamp(),
        message = left(p_message, 1000),
        skipped = o.found - o.done,
        busy = '{}',
        still_busy = '{}'
    where o.id = p_id
$$;
comment on function pgq._end_operation is
    'Ends an operation, whose row the caller has locked; what it met and did not move was skipped.';
select pgq._allow('_end_operation');

create or replace function pgq._operate_slice(p_operation pgq.operation, p_limit integer)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_now      timestamptz := clock_timestamp();
    v_until    timestamptz := v_now + interval '250 milliseconds';
    o          pgq.operation := p_operation;
    v_most     integer;
    v_tried    bigint[];
    v_ids      bigint[];
    v_to       bigint;
    v_done     bigint[];
    v_refused  bigint[];
    v_left     bigint[];
    v_unseen   bigint[];
    v_walking  boolean := o.walked_to < o.up_to;
begin
    -- What could not be moved does not pile up for longer than two seconds.
    o.credit := case
        when o.rate is not null then least(
            o.credit + o.rate * greatest(extract(epoch from v_now - o.credit_at), 0),
            greatest(2 * o.rate, 1)
        )
    end;
    v_most := least(p_limit, floor(o.credit), o.most - o.done);
    if v_most < 1 then
        return 0;
    end if;
    if not v_walking and o.busy = '{}' then
        if o.still_busy <> '{}' and o.round < 10 then
            if v_now < o.round_at + interval '1 second' then
                return 0;
            end if;
            o.busy := o.still_busy;
            o.still_busy := '{}';
            o.round := o.round + 1;
            o.round_at := v_now;
        else
            perform pgq._end_operation(o.id, 'done');
            return 0;
        end if;
    end if;
    v_tried := case when v_walking then o.ids else o.busy[: v_most] end;
    select coalesce(array_agg(f.id order by f.id) filter (where f.id is not null), '{}'), max(f.looked_to)
    into v_ids, v_to
    from pgq._find_jobs(
        o.filter,
        p_after => case when v_walking then o.walked_to end,
        p_before => o.up_to + 1,
        p_oldest_first => true,
        p_most => v_most,
        p_rows => 50000,
        p_budget => v_until - v_now,
        p_ids => v_tried
    ) f;

    select
        coalesce(array_agg(m.id) filter (where m.outcome = 'done'), '{}'),
        coalesce(array_agg(m.id) filter (where m.outcome = 'refused'), '{}'),
        coalesce(array_agg(m.id order by m.id) filter (where m.outcome = 'left'), '{}')
    into v_done, v_refused, v_left
    from pgq._move_jobs(
        o.verb,
        case
            when o.filter ? 'state' then array[o.filter ->> 'state'] else pgq._verb_states(o.verb)
        end,
        v_ids,
        o.payload,
        v_until
    ) m;

    if v_walking then
        o.walked_to := case
            when v_left <> '{}' then v_left[1] - 1
            when cardinality(v_ids) = v_most then v_ids[v_most]
            else coalesce(v_to, o.up_to)
        end;
        o.found := o.found + cardinality(v_ids) - cardinality(v_left);
        o.round_at := v_now;
    else
        v_unseen := array(select t.id from unnest(v_tried) t (id) where t.id > v_to);
        o.busy := v_left || v_unseen || o.busy[v_most + 1 :];
        -- Those that are not found any more went where the filter does not want them.
        o.skipped := o.skipped + cardinality(v_tried) - cardinality(v_ids) - cardinality(v_unseen);
    end if;
    o.done := o.done + cardinality(v_done);
    o.skipped := o.skipped + cardinality(v_refused);
    o.still_busy := o.still_busy || array(
        select i.id
        from unnest(v_ids) i (id)
        where i.id <> all (v_done || v_refused || v_left)
        order by i.id
    );
    if cardinality(o.still_busy) > 10000 then
        o.skipped := o.skipped + cardinality(o.still_busy) - 10000;
        o.still_busy := o.still_busy[: 10000];
    end if;

    update pgq.operation x
    set walked_to = o.walked_to,
        busy = o.busy,
        still_busy = o.still_busy,
        round = o.round,
        round_at = o.round_at,
        credit = coalesce(o.credit - cardinality(v_done), 1),
        credit_at = v_now,
        found = o.found,
        done = o.done,
        skipped = o.skipped
    where x.id = o.id;
    if o.done = o.most or o.walked_to >= o.up_to and o.busy = '{}' and o.still_busy = '{}' then
        perform pgq._end_operation(o.id, 'done');
    end if;
    return cardinality(v_ids) - cardinality(v_left);
end
$$;
comment on function pgq._operate_slice is
    'Moves the next jobs of an operation, whose row the caller has locked, and writes down how far it is; how many it met. Those that somebody else is moving come again at the end, in ten rounds.';
select pgq._allow('_operate_slice');
