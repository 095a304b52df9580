create or replace function pgq._count_stale(p_verb text, p_ids bigint[])
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into pgq.tally (queue, metric, label, n)
    select coalesce(j.queue, ''), 'stale', p_verb, count(*)
    from unnest(p_ids) i (id)
    left join lateral (
        select j.queue from pgq.job j where j.id = i.id offset 0
    ) j on true
    group by 1;
end
$$;
comment on function pgq._count_stale is
    'Counts writes that were refused because their lease was lost, by what they meant to do. Only verbs that report this can: where an error says it, the count would be rolled back with the rest.';
select pgq._allow('_count_stale');
