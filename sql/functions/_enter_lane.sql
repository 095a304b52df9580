create or replace function pgq._enter_lane(
    p_queue     text,
    p_priority  integer,
    p_suspect   boolean default false,
    p_reserved  boolean default false
)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_lane bigint := pgq._lane(p_queue, p_priority, p_suspect, p_reserved);
begin
    if exists (
        select
        from pgq.lane l
        where l.queue = p_queue
            and l.priority = p_priority
            and l.suspect = p_suspect
            and l.reserved = p_reserved
            and l.lane = v_lane
    ) then
        return v_lane;
    end if;
    -- Another producer may have entered the same lane since the look above.
    if exists (
        select
        from pgq.lane l
        where l.lane = v_lane
            and (l.queue, l.priority, l.suspect, l.reserved)
                is distinct from (p_queue, p_priority, p_suspect, p_reserved)
    ) then
        perform pgq._refuse(
            'PQ005',
            format('queue %L cannot be used with priority %s', left(p_queue, 200), p_priority),
            'Its lane number is that of another queue.',
            'Choose another name for the queue.'
        );
    end if;
    insert into pgq.lane (lane, queue, priority, suspect, reserved)
    values (v_lane, p_queue, p_priority, p_suspect, p_reserved);
    return v_lane;
end
$$;
comment on function pgq._enter_lane is 'Number of a lane, which is entered in pgq.lane if it is new.';
select pgq._allow('_enter_lane');
