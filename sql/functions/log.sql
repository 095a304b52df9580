create or replace function pgq.log(
    p_id        bigint,
    p_token     uuid,
    p_message   text,
    p_level     text default 'info',
    p_progress  real default null
)
returns integer
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_before  integer := (select max(g.n) from pgq.log g where g.job_id = p_id);
    v_after   integer;
begin
    if exists (
        select
        from pgq.log_many(array[p_id], array[p_token], array[p_message], array[p_level], array[p_progress])
    ) then
        perform pgq._refuse_lease(p_id, 'log');
    end if;
    select max(g.n) into v_after from pgq.log g where g.job_id = p_id;
    return nullif(v_after, v_before);
end
$$;
comment on function pgq.log is
    'Adds a line to a running job''s log and returns its number; null when the log is full. PQ001 when the lease is no longer this token''s.';
select pgq._allow('log', 'pgq_worker');
