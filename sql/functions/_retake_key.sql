create or replace function pgq._retake_key(p_queue text, p_key text, p_id bigint)
returns bigint
language plpgsql
set search_path = ''
-- Shorter than deadlock_timeout: whoever else wants the key is never the one who fails.
set lock_timeout = '20ms'
as $$
begin
    insert into pgq.unique_key (queue, key, job_id)
    values (p_queue, p_key, p_id)
    on conflict do nothing;
    return (select k.job_id from pgq.unique_key k where k.queue = p_queue and k.key = p_key);
exception
    when lock_not_available then
        return null;
end
$$;
comment on function pgq._retake_key is
    'Takes the unique key of a job that shall wait again: the job that has it now, p_id when that worked, null while another transaction is at the key.';
select pgq._allow('_retake_key');
