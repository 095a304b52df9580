create or replace function pgq.fail(
    p_id           bigint,
    p_token        uuid,
    p_error_class  text default null,
    p_message      text default null,
    p_traceback    text default null,
    p_permanent    boolean default false,
    p_retry_in     interval default null,
    p_reason       text default 'error',
    p_ran_seconds  double precision default null
)
returns table (
    state   text,
    run_at  timestamptz
)
language plpgsql
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    select f.state, f.run_at
    into state, run_at
    from pgq.fail_many(
        array[p_id], array[p_token], array[p_error_class], array[p_message], array[p_traceback],
        array[p_permanent], array[p_retry_in], array[p_reason], array[p_ran_seconds]
    ) f;
    if state = 'lost' then
        perform pgq._refuse_lease(p_id, 'fail');
    end if;
    return next;
end
$$;
comment on function pgq.fail is
    'Ends an attempt that failed (reason error or timeout). The job is retried after p_retry_in, or after a random time up to its backoff, which doubles with each attempt; it is dead when p_permanent or when its attempts are used up. PQ001 when the lease is no longer this token''s.';
select pgq._allow('fail', 'pgq_worker');
