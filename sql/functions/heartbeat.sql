create or replace function pgq.heartbeat(
    p_worker  bigint,
    p_ids     bigint[],
    p_tokens  uuid[],
    p_busy    integer default 0,
    p_state   text default 'available',
    p_token   uuid default null,
    p_claims  uuid[] default '{}',
    p_beat    bigint default null
)
returns table (
    cancelled  bigint[],
    lost       bigint[],
    suspects   boolean,
    drain      boolean
)
language plpgsql
security definer
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    v_clock   timestamptz := pgq._clock();
    v_queues  text[];
    v_long    record;
    v_lease   pgq.lease;
begin
    if p_busy is null or coalesce(p_state not in ('available', 'busy', 'draining', 'offline'), true) then
        perform pgq._refuse(
            'PQ005',
            'bad arguments of heartbeat',
            format('busy %L, state %L; expected a number, and available, busy, draining or offline.',
                   p_busy, p_state),
            'Correct the call: the worker is as it was.'
        );
    end if;
    update pgq.worker w
    set
        heartbeat_at = clock_timestamp(),
        expires_at = case when p_state = 'offline' then v_clock else v_clock + s.lease end,
        busy = p_busy,
        state = p_state,
        beat = coalesce(p_beat, w.beat)
    from pgq.setting s
    where w.id = p_worker
        and w.state <> 'offline'
        and w.expires_at > v_clock
        and (p_token is null or w.token = p_token)
        and (p_beat is null or w.beat < p_beat)
    returning w.queues into v_queues;
    if not found then
        -- It was long on the way: what the worker has claimed since is not in it.
        if exists (
            select
            from pgq._live_worker v
            where v.id = p_worker
                and v.beat >= p_beat
                and (p_token is null or v.token = p_token)
        ) then
            return;
        end if;
        perform pgq._refuse_worker(p_worker);
    end if;

    -- Older than two heartbeats, not in hand, and nobody waits for the answer of its claim any more: it was
    -- lost. The job goes back as it was.
    for v_long in
        select g.job_id, g.token
        from pgq.long_lease g
        where g.worker = p_worker
            and not exists (
                select
                from unnest(p_ids, p_tokens) h (id, token)
                where h.id = g.job_id
                    and h.token = g.token
            )
            and not exists (select from unnest(p_claims) c (token) where c.token = g.token)
        order by g.job_id
        limit 1000
    loop
        delete from pgq.lease l
        where l.ctid = any (array(
            select x.ctid
            from pgq.lease x
            where x.job_id = v_long.job_id
                and x.token = v_long.token
            for update skip locked
        ))
        returning l.* into v_lease;
        if found then
            perform pgq._put_back(v_lease);
        end if;
        delete from pgq.long_lease g
        where g.ctid = any (array(
            select x.ctid
            from pgq.long_lease x
            where x.job_id = v_long.job_id
                and x.worker = p_worker
                and not exists (
                    select from pgq.lease l where l.job_id = x.job_id and l.token = x.token
                )
            for update skip locked
        ));
    end loop;

    return query
    select
        array(
            select c.job_id
            from unnest(p_ids, p_tokens) h (id, token)
            join pgq.cancel_request c on c.job_id = h.id and c.token = h.token
        ),
        array(
            select h.id
            from unnest(p_ids, p_tokens) h (id, token)
            left join lateral (
                select l.job_id from pgq.lease l where l.job_id = h.id and l.token = h.token offset 0
            ) l on true
            where l.job_id is null
        ),
        exists (
            select
            from unnest(v_queues) q (queue)
            join pgq.lane l on l.queue = q.queue and l.suspect
            cross join lateral (
                select r.job_id
                from pgq.ready r
                where r.lane = l.lane
                    and r.seq >= coalesce((
                        select f.floor from pgq.floor f where f.lane = l.lane order by f.floor desc limit 1
                    ), 0)
                order by r.seq
                limit 1
            ) r
            where not exists (select from pgq._paused_queue p where p.queue = q.queue)
        ),
        exists (select from pgq.drain_request d where d.worker = p_worker);
end
$$;
comment on function pgq.heartbeat is
    'Keeps a worker''s leases. p_ids and p_tokens are what it has in hand: any other lease of it that is older than two heartbeats goes back, uncharged. Returns those it is to cancel, those it has lost, whether suspects wait in its queues, and whether it is to claim nothing more. p_state: available, busy, draining, or offline to unregister. p_token: what it registered with; with another one the id is somebody elses. p_claims: tokens of claims whose answer it has not read yet; their leases stay. p_beat: a number that rises with each heartbeat; one that was overtaken changes nothing and gets no row. PQ008: the worker has expired.';
select pgq._allow('heartbeat', 'pgq_worker');
