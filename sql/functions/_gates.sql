create or replace function pgq._hold_gate()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    lock table pgq.gate in row exclusive mode;
    return null;
end
$$;
comment on function pgq._hold_gate is
    'Before rows of ready draw their seq: holds the gate to the end of the transaction, so that pgq.settle knows of them.';
select pgq._allow('_hold_gate');

create or replace function pgq._hold_lease_gate()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    lock table pgq.lease_gate in row exclusive mode;
    return null;
end
$$;
comment on function pgq._hold_lease_gate is 'Before rows of lease draw their seq: holds their gate.';
select pgq._allow('_hold_lease_gate');

create or replace function pgq._forbid_truncate()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform pgq._refuse(
        'PQ003',
        format('pgq.%s cannot be truncated', tg_table_name),
        'Jobs would be lost.',
        'Use pgq.cancel or pgq.purge.'
    );
    return null;
end
$$;
comment on function pgq._forbid_truncate is 'Refuses TRUNCATE.';
select pgq._allow('_forbid_truncate');
