create or replace function pgq.explain(p_id bigint)
returns table (reason text, detail text)
language plpgsql
stable
security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
    v_state  text := (select s.state from pgq.job_status s where s.id = p_id);
    v_job    pgq.job;
begin
    select j.* into v_job from pgq.job j where j.id = p_id;
    if not found then
        perform pgq._refuse_state(p_id, 'explain', '{}');
    end if;
    return query
    select e.reason, e.detail from pgq._explain_ended(p_id) e
    union all
    select e.reason, e.detail from pgq._explain_running(p_id) e
    union all
    select e.reason, e.detail from pgq._explain_delayed(p_id) e
    union all
    select 'queue_paused', format('queue %L since %s', p.queue, pgq._when(p.paused_at))
    from pgq._paused_queue p
    where p.queue = v_job.queue
        and v_state in ('scheduled', 'ready', 'retrying')
    union all
    select 'no_worker', format('no live worker takes queue %L', v_job.queue)
    where v_state in ('scheduled', 'ready', 'retrying')
        and not exists (select from pgq._live_worker w where v_job.queue = any (w.queues))
    union all
    select e.reason, e.detail from pgq._explain_ready(p_id) e;
    if not found then
        return query
        select
            coalesce(v_state, 'damaged'),
            case v_state
                when 'ready' then 'nothing keeps it: the next claim of its queue takes it'
                else 'it stands in no table of states, which pgq.audit_state mends'
            end;
    end if;
end
$$;
comment on function pgq.explain is
    'Why a job is not running now, a row for each reason: scheduled, snoozed, retrying, unknown_task, due, queue_paused, no_worker, no_slots, suspect, behind, below_floor, running, cancel_requested, finished, dead, damaged; ready when there is none. PQ002: no such job.';
select pgq._allow('explain', 'pgq_viewer');
