create or replace function pgq._request_cancel(
    p_id        bigint,
    p_worker    bigint,
    p_executor  integer,
    p_token     uuid
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into pgq.cancel_request (job_id, token)
    select p_id, p_token
    where not exists (
        select from pgq.cancel_request c where c.job_id = p_id and c.token = p_token
    );
    if p_worker <> 0 and current_setting('pgq.wake', true) is distinct from 'off' then
        perform pgq._notify(p_worker, p_executor, format('c %s %s', p_id, p_token));
    end if;
end
$$;
comment on function pgq._request_cancel is
    'Asks for the end of a running job, whose lease row the caller has locked, and tells who runs it.';
select pgq._allow('_request_cancel');
