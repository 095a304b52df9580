create or replace function pgq.version()
returns integer
language sql
stable
security definer
set search_path = ''
as $$
    select max(m.version) from pgq.migration m
$$;
comment on function pgq.version is 'Version of the schema: the number of its last migration.';
select pgq._allow('version', 'pgq_enqueuer', 'pgq_worker', 'pgq_viewer');
