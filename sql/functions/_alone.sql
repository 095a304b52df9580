create or replace function pgq._alone(p_verb text, p_statement text)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_result bigint;
begin
    if not pg_try_advisory_lock(1885827428, hashtext(p_verb)) then
        return 0;
    end if;
    begin
        execute p_statement into v_result;
    exception
        when query_canceled or others then
            perform pg_advisory_unlock(1885827428, hashtext(p_verb));
            raise;
    end;
    perform pg_advisory_unlock(1885827428, hashtext(p_verb));
    return v_result;
end
$$;
comment on function pgq._alone is
    'Result of a statement of upkeep, or 0 when another session is at this verb. The lock is the session''s and given back at once: a transaction''s would be held by whoever stays in it.';
select pgq._allow('_alone');
