create or replace function pgq.release_executor(
    p_worker    bigint,
    p_executor  integer,
    p_begun     bigint[] default '{}'
)
returns table (
    id     bigint,
    state  text
)
language plpgsql
security definer
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    v_floor  bigint := pgq._lease_floor();
    v_id     bigint;
    v_lease  pgq.lease;
begin
    for v_id in
        select l.job_id
        from pgq.lease l
        where l.seq >= v_floor
            and l.worker = p_worker
            and l.executor = p_executor
        union
        select l.job_id
        from pgq.long_lease g
        cross join lateral (
            select l.job_id
            from pgq.lease l
            where l.job_id = g.job_id
                and l.token = g.token
                and l.executor = p_executor
            offset 0
        ) l
        where g.worker = p_worker
        order by 1
    loop
        -- The executor is dead: nobody but upkeep and a cancelling operator can hold these rows.
        delete from pgq.lease l
        where l.job_id = v_id
            and l.worker = p_worker
            and l.executor = p_executor
        returning l.* into v_lease;
        continue when not found;
        id := v_id;
        state := pgq._put_back(v_lease, case when v_id = any (p_begun) then 'crashed' end);
        return next;
    end loop;
end
$$;
comment on function pgq.release_executor is
    'Gives back what a dead executor held. Jobs in p_begun, whose handler had begun, become suspects, and suspects are charged a crash; the others go back as they were. State: ready, suspect, dead or cancelled.';
select pgq._allow('release_executor', 'pgq_worker');

create or replace function pgq._lease_floor()
returns bigint
language plpgsql
stable
set search_path = ''
as $$
begin
    return pgq._swept_to('lease');
end
$$;
comment on function pgq._lease_floor is
    'Leases with a lower seq that are still alive stand in long_lease, but for stragglers''.';
select pgq._allow('_lease_floor');
