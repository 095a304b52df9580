create or replace function pgq.retry(p_id bigint, p_payload json default null)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_states   text[] := array['dead', 'cancelled'];
    v_state    text := (select s.state from pgq.job_status s where s.id = p_id);
    v_job      pgq.job;
    v_reason   text;
    v_holder   bigint;
begin
    if v_state is null or v_state <> all (v_states) then
        perform pgq._refuse_state(p_id, 'retry', v_states);
    end if;
    select j.* into v_job from pgq.job j where j.id = p_id;
    if p_payload is not null then
        v_job.payload := p_payload;
        perform pgq._check_job(v_job);
    end if;
    -- Before the state row, as the lock order wants.
    if v_job.unique_key is not null then
        v_holder := pgq._retake_key(v_job.queue, v_job.unique_key, p_id);
        if v_holder <> p_id then
            perform pgq._refuse(
                'PQ003',
                format('job %s is %s: cannot retry it, because job %s has its unique key', p_id, v_state, v_holder),
                format('The key is %L in queue %L.', v_job.unique_key, v_job.queue),
                'Retry it when that job has ended.'
            );
        elsif v_holder is null then
            perform pgq._refuse(
                'PQ007',
                format('job %s is busy: cannot retry it', p_id),
                format('Another transaction is at its unique key, %L in queue %L.', v_job.unique_key, v_job.queue),
                'Try again.'
            );
        end if;
    end if;
    if v_state = 'dead' then
        select d.reason into v_reason from pgq.dead d where d.job_id = p_id for update skip locked;
        if found then
            delete from pgq.dead d where d.job_id = p_id;
        else
            perform pgq._refuse_state(p_id, 'retry', v_states);
        end if;
    else
        perform from pgq.finished f
        where f.job_id = p_id
            and f.outcome = 'cancelled'
        for update skip locked;
        if found then
            delete from pgq.finished f where f.job_id = p_id;
        else
            perform pgq._refuse_state(p_id, 'retry', v_states);
        end if;
    end if;
    if p_payload is not null then
        update pgq.job j set payload = p_payload where j.id = p_id;
    end if;
    perform pgq._revive(array[p_id], array[coalesce(v_reason = 'crashed', false)], v_state);
end
$$;
comment on function pgq.retry is
    'Lets a dead or cancelled job run again from its first attempt, with another payload if one is given; not before its run_at. One that crashed goes on running alone. PQ003: it is in another state, or another job has its unique key. PQ005: the payload is over the queue''s limit. PQ007: somebody else is moving it.';
select pgq._allow('retry', 'pgq_operator');
