create or replace function pgq.redrive(
    p_queue        text     default null,
    p_task         text     default null,
    p_fingerprint  text     default null,
    p_limit        integer  default 1000
)
returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_letter    record;
    v_ids       bigint[] := '{}';
    v_suspects  boolean[] := '{}';
begin
    perform pgq._check_limit(p_limit, 100000);
    for v_letter in
        select d.job_id, d.reason, j.queue, j.unique_key
        from pgq.dead d
        join pgq.job j on j.id = d.job_id
        where (p_fingerprint is null or d.fingerprint = p_fingerprint)
            and (p_queue is null or j.queue = p_queue)
            and (p_task is null or j.task = p_task)
            and not exists (
                select from pgq.unique_key k where k.queue = j.queue and k.key = j.unique_key
            )
        order by d.died_at, d.job_id
        limit p_limit
        for update of d skip locked
    loop
        -- Two dead letters may want one key: the older gets it.
        if v_letter.unique_key is null or coalesce(
            pgq._retake_key(v_letter.queue, v_letter.unique_key, v_letter.job_id) = v_letter.job_id, false
        ) then
            v_ids := v_ids || v_letter.job_id;
            v_suspects := v_suspects || (v_letter.reason = 'crashed');
        end if;
    end loop;
    delete from pgq.dead d where d.job_id = any (v_ids);
    perform pgq._revive(v_ids, v_suspects, 'dead');
    return cardinality(v_ids);
end
$$;
comment on function pgq.redrive is
    'Retries dead letters, oldest first, all or those of a queue, a task, a kind of error; returns how many. Those whose unique key is taken and those that somebody else is moving stay dead.';
select pgq._allow('redrive', 'pgq_operator');
