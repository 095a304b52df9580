create or replace function pgq.enqueue_many(p_jobs json)
returns table (n integer, id bigint, created boolean)
language plpgsql
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_jobs     pgq.job[] := '{}';
    v_left     pgq.job[];
    v_made     bigint[];
    v_ids      bigint[] := '{}';
    v_holders  bigint[] := '{}';
    v_n        bigint := 0;
    v_item     json;
    v_job      pgq.job;
    v_message  text;
    v_detail   text;
    v_hint     text;
begin
    if p_jobs is null or json_typeof(p_jobs) <> 'array' then
        perform pgq._refuse(
            'PQ005',
            'bad p_jobs',
            format('It is %s; expected a JSON array of objects.', coalesce(json_typeof(p_jobs), 'null'))
        );
    end if;
    begin
        for v_item in select e.item from json_array_elements(p_jobs) e (item) loop
            v_n := v_n + 1;
            v_jobs := v_jobs || pgq._parse_job(v_item);
        end loop;
        v_left := v_jobs;
        v_n := 0;
        -- A job that has a key may end between the insert and the look: then the key is free again.
        for v_try in 1 .. 100 loop
            with made as (
                insert into pgq.job
                select j.*
                from unnest(v_left) j
                returning id
            )
            select coalesce(array_agg(m.id), '{}') into v_made from made m;
            select v_ids || coalesce(array_agg(j.id), '{}'), v_holders || coalesce(array_agg(k.job_id), '{}')
            into v_ids, v_holders
            from unnest(v_left) j
            join pgq.unique_key k on k.queue = j.queue and k.key = j.unique_key
            where k.job_id <> j.id;
            v_left := array(
                select j
                from unnest(v_left) j
                where not exists (select from unnest(v_made || v_ids) m (id) where m.id = j.id)
            );
            exit when cardinality(v_left) = 0;
        end loop;
    exception
        when sqlstate 'PQ005' then
            get stacked diagnostics
                v_message = message_text, v_detail = pg_exception_detail, v_hint = pg_exception_hint;
            -- Routing refuses a whole statement: the item is found by checking each.
            if v_n = 0 then
                foreach v_job in array v_jobs loop
                    v_n := v_n + 1;
                    begin
                        perform pgq._check_job(v_job);
                    exception
                        when sqlstate 'PQ005' then
                            exit;
                    end;
                end loop;
            end if;
            perform pgq._refuse(
                'PQ005',
                format('item %s: %s', v_n, v_message),
                v_detail,
                coalesce(nullif(v_hint, ''), 'Correct the item and enqueue again: nothing of this call was kept.')
            );
    end;
    if cardinality(v_left) > 0 then
        perform pgq._refuse(
            'PQ007',
            format('unique key %L of queue %L is busy', v_left[1].unique_key, v_left[1].queue),
            'Each job that had it ended before its id could be read.',
            'Try again.'
        );
    end if;
    return query
    select i.n::integer, coalesce(h.holder, i.id), h.holder is null
    from (
        select j.id, row_number() over () as n from unnest(v_jobs) j
    ) i
    left join unnest(v_ids, v_holders) h (id, holder) on h.id = i.id
    order by i.n;
end
$$;
comment on function pgq.enqueue_many is
    'Enters the jobs of a JSON array, all or none, in its order; a row for each, numbered from 1, as pgq.enqueue returns it. delay is an interval or a number of seconds. PQ005 names the item and what is wrong with it.';
select pgq._allow('enqueue_many', 'pgq_enqueuer');
