create or replace function pgq._revive(p_ids bigint[], p_suspects boolean[], p_from text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform pgq._enter_lane(g.queue, g.priority, g.suspect, g.reserved)
    from (
        select distinct j.queue, j.priority, i.suspect, starts_with(j.task, 'pgq.') as reserved
        from unnest(p_ids, p_suspects) i (id, suspect)
        join pgq.job j on j.id = i.id
    ) g;
    insert into pgq.delayed (run_at, job_id, lane, suspect, has_key, why)
    select
        j.run_at,
        j.id,
        pgq._lane(j.queue, j.priority, i.suspect, starts_with(j.task, 'pgq.')),
        i.suspect,
        j.unique_key is not null,
        'scheduled'
    from unnest(p_ids, p_suspects) i (id, suspect)
    join pgq.job j on j.id = i.id
    where j.run_at > now();
    insert into pgq.ready (lane, job_id, suspect, has_key)
    select
        pgq._lane(j.queue, j.priority, i.suspect, starts_with(j.task, 'pgq.')),
        j.id,
        i.suspect,
        j.unique_key is not null
    from unnest(p_ids, p_suspects) with ordinality i (id, suspect, n)
    join pgq.job j on j.id = i.id
    where j.run_at is null
        or j.run_at <= now()
    order by i.n;
    insert into pgq.tally (queue, metric, label, n)
    select g.queue, 'transition', g.label, count(*)
    from (
        select
            j.queue,
            p_from || case when j.run_at > now() then '>scheduled' else '>ready' end as label
        from unnest(p_ids) i (id)
        join pgq.job j on j.id = i.id
    ) g
    group by g.queue, g.label;
end
$$;
comment on function pgq._revive is
    'Lets jobs whose state rows the caller has deleted wait for their first attempt again, in this order; those whose run_at is still to come are scheduled.';
select pgq._allow('_revive');
