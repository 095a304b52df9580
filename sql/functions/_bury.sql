create or replace function pgq._bury(
    p_job_id       bigint,
    p_lane         bigint,
    p_reason       text,
    p_error_class  text,
    p_message      text,
    p_attempt      integer,
    p_crashes      integer,
    p_worker       bigint,
    p_has_key      boolean
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_task text := (select j.task from pgq.job j where j.id = p_job_id);
begin
    insert into pgq.dead (
        job_id, lane, reason, fingerprint, error_class, message, attempt, crashes, worker, has_key
    )
    values (
        p_job_id,
        p_lane,
        p_reason,
        pgq._fingerprint(v_task, p_reason, p_error_class, p_message),
        p_error_class,
        p_message,
        p_attempt,
        p_crashes,
        p_worker,
        p_has_key
    );
    if p_has_key then
        perform pgq._free_keys(array[p_job_id]);
    end if;
    perform pgq._count(p_lane, 'dead', p_reason);
end
$$;
comment on function pgq._bury is 'Makes a dead letter of a job whose state row the caller has deleted.';
select pgq._allow('_bury');
