-- No search_path of its own: a procedure with one may not commit. All names are qualified.
create or replace procedure pgq.tick()
language plpgsql
as $$
begin
    -- In a transaction block this is refused, before anything was done.
    commit;
    perform pgq.promote();
    commit;
    perform pgq.reap();
    commit;
    perform pgq.settle();
    commit;
    perform pgq.fold();
    commit;
    perform pgq.sample();
    commit;
    perform pgq.partition();
    commit;
    perform pgq.prune();
    commit;
    perform pgq.audit_state();
    commit;
    perform pgq.operate();
    commit;
end
$$;
comment on procedure pgq.tick is
    'Upkeep: a round of each of its verbs, for psql and pg_cron where no worker runs. Refused inside a transaction.';
select pgq._allow('tick', 'pgq_worker', 'pgq_operator');
