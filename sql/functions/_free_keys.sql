create or replace function pgq._free_keys(p_ids bigint[])
returns void
language sql
set search_path = ''
as $$
    delete from pgq.unique_key u
    where u.ctid = any (array(
        select k.row
        from unnest(p_ids) i (id)
        cross join lateral (
            select j.queue, j.unique_key
            from pgq.job j
            where j.id = i.id
            offset 0
        ) j
        cross join lateral (
            select k.ctid as row
            from pgq.unique_key k
            where k.queue = j.queue
                and k.key = j.unique_key
                and k.job_id = i.id
            offset 0
        ) k
    ))
$$;
comment on function pgq._free_keys is 'Frees the unique keys of jobs that have ended.';
select pgq._allow('_free_keys');
