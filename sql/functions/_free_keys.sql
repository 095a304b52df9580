create or replace function pgq._free_keys(p_ids bigint[])
returns void
language sql
set search_path = ''
as $$
    delete from pgq.unique_key k
    using pgq.job j
    where j.id = any(p_ids)
        and j.unique_key is not null
        and k.queue = j.queue
        and k.key = j.unique_key
        and k.job_id = j.id
$$;
comment on function pgq._free_keys is 'Frees the unique keys of jobs that have ended.';
select pgq._allow('_free_keys');
