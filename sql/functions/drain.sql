create or replace function pgq.drain(p_worker bigint, p_on boolean default true)
returns boolean
language plpgsql
security definer
set search_path = ''
as $$
begin
    if not exists (select from pgq._live_worker w where w.id = p_worker) then
        perform pgq._refuse_record('worker', p_worker);
    end if;
    if coalesce(p_on, true) then
        insert into pgq.drain_request (worker) values (p_worker) on conflict do nothing;
    else
        delete from pgq.drain_request d where d.worker = p_worker;
    end if;
    return found;
end
$$;
comment on function pgq.drain is
    'Has a worker claim nothing more, finish what it has, and stay; p_on false: claim again. Whether that changed anything. PQ009: no such worker, or it has gone.';
select pgq._allow('drain', 'pgq_operator');
