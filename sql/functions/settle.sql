create or replace function pgq.settle()
returns boolean
language sql
security definer
set search_path = ''
as $$
    select pgq._alone('settle', 'select pgq._settle()') > 0
$$;
comment on function pgq.settle is
    'Upkeep: moves the floors of ready, and gives new seqs to what stragglers and open claims left below them. Whether a floor moved. Does nothing but in READ COMMITTED.';
select pgq._allow('settle', 'pgq_worker', 'pgq_operator');
