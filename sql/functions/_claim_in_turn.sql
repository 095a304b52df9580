create or replace function pgq._claim_in_turn(
    p_worker    bigint,
    p_executor  integer,
    p_token     uuid,
    p_queues    text[],
    p_limits    integer[],
    p_lease     interval,
    p_suspects  boolean,
    p_limit     integer,
    p_reserved  boolean
)
returns table (
    id            bigint,
    queue         text,
    token         uuid,
    task          text,
    payload       json,
    priority      integer,
    attempt       integer,
    max_attempts  integer,
    timeout       interval,
    suspect       boolean,
    headers       json,
    created_at    timestamptz,
    claimed_at    timestamptz,
    expires_at    timestamptz
)
language plpgsql
set search_path = ''
as $$
declare
    v_slot integer;
begin
    -- A lock of the session, given back at once: a transaction's would be held by whoever stays in it.
    v_slot := pgq._slot(p_queues);
    -- Not by the function's own settings, which only a superuser may give a name that no module has.
    perform set_config('pgq.in_turn', 'on', true);
    return query
    select *
    from pgq.claim(
        p_worker, p_executor, p_token, p_queues, p_limits, p_lease, p_suspects, p_limit, p_reserved
    );
    perform set_config('pgq.in_turn', '', true);
    perform pg_advisory_unlock(1885827434, v_slot);
exception
    when query_canceled or others then
        -- Whichever it is: the error may have come before v_slot was set.
        perform pg_advisory_unlock(1885827434, k.objid::integer)
        from pg_catalog.pg_locks k
        where k.locktype = 'advisory'
            and k.classid = 1885827434
            and k.pid = pg_backend_pid()
            and k.granted;
        raise;
end
$$;
comment on function pgq._claim_in_turn is
    'Like pgq.claim, when eight sessions at most look for jobs of these queues at a time. Nobody waits longer than half a second for that.';
select pgq._allow('_claim_in_turn');

create or replace function pgq._slot(p_queues text[])
returns integer
language plpgsql
set search_path = ''
as $$
declare
    v_key integer := hashtext(p_queues::text);
begin
    for n in 0..7 loop
        if pg_try_advisory_lock(1885827434, v_key # n) then
            return v_key # n;
        end if;
    end loop;
    return pgq._await_slot(v_key # (pg_backend_pid() % 8));
end
$$;
comment on function pgq._slot is
    'Takes one of the eight slots of claims of these queues, and waits for one when there is none. Null when that takes too long.';
select pgq._allow('_slot');

create or replace function pgq._await_slot(p_slot integer)
returns integer
language plpgsql
set search_path = ''
set lock_timeout = '500ms' -- less than a deadlock takes to be noticed
as $$
begin
    perform pg_advisory_lock(1885827434, p_slot);
    return p_slot;
exception
    when lock_not_available then
        return null;
end
$$;
comment on function pgq._await_slot is
    'Waits for a slot of claims. Null when its holder stands still.';
select pgq._allow('_await_slot');
