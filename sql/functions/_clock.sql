create or replace function pgq._clock()
returns timestamptz
language plpgsql
stable
set search_path = ''
as $$
begin
    return (
        select c.clock from pgq.lease_clock c order by c.id desc limit 1
    );
end
$$;
comment on function pgq._clock is 'What the lease clock shows.';
select pgq._allow('_clock');
