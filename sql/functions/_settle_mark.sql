create or replace function pgq._settle_mark(p_stream text)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_gate      regclass := case p_stream when 'ready' then 'pgq.gate' else 'pgq.lease_gate' end;
    v_last      bigint := pgq._last_seq(p_stream);
    v_holders   text[];
    v_prepared  xid[];
    v_pending   pgq.mark;
    v_strayed   text[];
begin
    -- A statement of its own, after the sequence was read: whoever takes the gate from here on draws
    -- higher values. A holder without a process is a prepared transaction.
    with held as materialized (
        select k.*
        from pg_catalog.pg_locks k
        where (k.locktype = 'relation' and k.relation = v_gate and k.mode = 'RowExclusiveLock'
                and k.granted and k.pid is distinct from pg_backend_pid()
                and k.database = (
                    select d.oid from pg_catalog.pg_database d where d.datname = current_database()
                ))
            or (k.locktype = 'transactionid' and k.mode = 'ExclusiveLock' and k.pid is null)
    )
    select
        coalesce(array_agg(h.virtualtransaction), '{}'),
        coalesce(array_agg(p.transactionid) filter (where p.transactionid is not null), '{}'),
        coalesce(array_agg(h.virtualtransaction) filter (where p.transactionid is not null), '{}')
    into v_holders, v_prepared, v_strayed
    from held h
    left join lateral (
        select t.transactionid
        from held t
        left join pg_catalog.pg_prepared_xacts x on x.transaction = t.transactionid
        where t.locktype = 'transactionid'
            and t.virtualtransaction = h.virtualtransaction
            and (h.pid is null or h.virtualtransaction like '-1/%')
        order by x.transaction is null
        limit 1
    ) p on true
    where h.locktype = 'relation';

    select m.* into v_pending from pgq.mark m where m.stream = p_stream order by m.id desc limit 1;
    if v_pending.id is null then
        v_pending.settled := 0;
    end if;

    -- A prepared transaction changes its name when the server restarts: from now on it is known by its
    -- id. It may have been a straggler of another name, so its rows may lie in the oldest range.
    insert into pgq.straggler (stream, xid, from_seq)
    select p_stream, x.xid, least(v_pending.settled + 1, (
        select min(s.from_seq) from pgq.straggler s where s.stream = p_stream
    ))
    from unnest(v_prepared) x (xid)
    where not exists (
        select from pgq.straggler s where s.stream = p_stream and s.xid = x.xid
    );
    if v_pending.noted_at < clock_timestamp() - interval '2 seconds' then
        insert into pgq.straggler (stream, holder, from_seq)
        select p_stream, h.holder, v_pending.settled + 1
        from unnest(v_pending.holders) h (holder)
        where h.holder = any (v_holders)
            and not exists (
                select from pgq.straggler s where s.stream = p_stream and s.holder = h.holder
            );
    end if;
    -- Those that have ended; their rows are visible to every statement from here on.
    update pgq.straggler s
    set to_seq = pgq._last_seq(p_stream)
    where s.ctid = any (array(
        select t.ctid
        from pgq.straggler t
        where t.stream = p_stream
            and t.to_seq is null
            -- Null differs from all of nothing: a straggler has one of the two.
            and case
                when t.xid is null then t.holder <> all (v_holders)
                else t.xid <> all (v_prepared)
                    and not exists (
                        select from pg_catalog.pg_prepared_xacts x where x.transaction = t.xid
                    )
            end
        -- Not FOR UPDATE: an open transaction of a mover that relies on it holds a key share.
        for no key update skip locked
    ));

    v_strayed := v_strayed || array(
        select s.holder from pgq.straggler s where s.stream = p_stream and s.holder is not null
    );
    if exists (
        select
        from unnest(v_pending.holders) h (holder)
        where h.holder = any (v_holders)
            and h.holder <> all (v_strayed)
    ) then
        return null;
    end if;
    insert into pgq.mark (stream, mark, settled, holders)
    values (
        p_stream,
        v_last,
        coalesce(v_pending.mark, 0),
        array(select h.holder from unnest(v_holders) h (holder) where h.holder <> all (v_strayed))
    );
    return v_pending.mark;
end
$$;
comment on function pgq._settle_mark is
    'The seq of a stream up to which no row can appear any more but from stragglers, when that has moved, and notes the next mark. Only right in READ COMMITTED, where each statement sees what had ended before it.';
select pgq._allow('_settle_mark');

create or replace function pgq._last_seq(p_stream text)
returns bigint
language plpgsql
set search_path = ''
as $$
begin
    if p_stream = 'ready' then
        return (select case when s.is_called then s.last_value else 0 end from pgq.ready_seq s);
    end if;
    return (select case when s.is_called then s.last_value else 0 end from pgq.lease_seq s);
end
$$;
comment on function pgq._last_seq is 'The last value that a stream''s sequence has given out, 0 before the first.';
select pgq._allow('_last_seq');
