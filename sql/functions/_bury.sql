create or replace function pgq._bury(
    p_leases         pgq.lease[],
    p_reasons        text[],
    p_error_classes  text[],
    p_messages       text[]
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_keyed bigint[];
begin
    with buried as (
        insert into pgq.dead (
            job_id, lane, reason, fingerprint, error_class, message, attempt, crashes, worker, has_key
        )
        select
            l.job_id,
            l.lane,
            w.reason,
            pgq._fingerprint(
                (select j.task from pgq.job j where j.id = l.job_id), w.reason, w.error_class, w.message
            ),
            w.error_class,
            w.message,
            l.attempt,
            l.crashes,
            l.worker,
            l.has_key
        from unnest(p_leases) with ordinality l
        join unnest(p_reasons, p_error_classes, p_messages) with ordinality w (
            reason, error_class, message, n
        ) on w.n = l.ordinality
        returning job_id, lane, reason, has_key
    ),
    counted as (
        insert into pgq.tally (queue, metric, label, n)
        select q.queue, c.metric, c.label, sum(c.n)
        from (
            select b.lane, t.metric, t.label, count(*) as n
            from buried b
            cross join lateral (
                values ('dead', b.reason), ('transition', 'running>dead')
            ) t (metric, label)
            group by b.lane, t.metric, t.label
        ) c
        cross join lateral (
            select l.queue from pgq.lane l where l.lane = c.lane order by l.id limit 1
        ) q
        group by q.queue, c.metric, c.label
    )
    select array_agg(b.job_id) filter (where b.has_key) into v_keyed from buried b;
    if v_keyed is not null then
        perform pgq._free_keys(v_keyed);
    end if;
end
$$;
comment on function pgq._bury is
    'Makes dead letters of jobs whose lease rows the caller has deleted, with the attempts and crashes that stand in these.';
select pgq._allow('_bury');
