create or replace function pgq.watch(p_ids bigint[], p_queues text[])
returns table (
    id     bigint,
    queue  text
)
language plpgsql
stable
security definer
set search_path = ''
-- Look-ups down an index, one each (offset 0 keeps them from being turned round). Said here, it holds
-- on tables never analysed too.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    v_ids bigint[];
begin
    perform pgq._check_array('p_ids', cardinality(p_ids), 10000);
    perform pgq._check_array('p_queues', cardinality(p_queues), 10000);
    -- Most are alive, and what is has no row in the days, of which there are many.
    select array_agg(distinct i.id)
    into v_ids
    from unnest(p_ids) i (id)
    where i.id is not null
        and not exists (select from pgq.ready r where r.job_id = i.id offset 0)
        and not exists (select from pgq.lease l where l.job_id = i.id offset 0)
        and not exists (select from pgq.delayed d where d.job_id = i.id offset 0);
    if v_ids is not null then
        return query
        select i.id, null::text
        from unnest(v_ids) i (id)
        where exists (select from pgq.finished f where f.job_id = i.id offset 0)
            or exists (select from pgq.dead d where d.job_id = i.id offset 0)
            or not exists (select from pgq.job j where j.id = i.id offset 0);
    end if;
    if p_queues <> '{}' then
        return query
        select null::bigint, q.queue
        from (select distinct u.queue from unnest(p_queues) u (queue)) q
        where not exists (select from pgq._paused_queue p where p.queue = q.queue)
            and exists (
                select
                from pgq.lane l
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
                where l.queue = q.queue
                    and not l.reserved
            );
    end if;
end
$$;
comment on function pgq.watch is
    'What of these has happened: jobs that have ended or are gone (id), and queues from which a claim could take something now (queue), of tasks that are not reserved. For whoever waits on behalf of many, several times a second.';
select pgq._allow('watch', 'pgq_worker', 'pgq_viewer');
