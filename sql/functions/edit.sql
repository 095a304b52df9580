create or replace function pgq.edit(
    p_id        bigint,
    p_payload   json         default null,
    p_priority  integer      default null,
    p_run_at    timestamptz  default null
)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_job      pgq.job;
    v_delayed  pgq.delayed;
    v_ready    pgq.ready;
    v_dead     pgq.dead;
    v_lane     bigint;
begin
    if num_nonnulls(p_payload, p_priority, p_run_at) = 0 then
        perform pgq._refuse(
            'PQ005',
            'nothing to edit',
            'Expected at least one of p_payload, p_priority, p_run_at.'
        );
    end if;
    select j.* into v_job from pgq.job j where j.id = p_id;
    -- A moment later it may be there: whoever enqueued it has committed. It is to be asked for anew then.
    if not found then
        perform pgq._refuse_state(p_id, 'edit', array['scheduled', 'ready', 'retrying', 'dead']);
    end if;
    v_job.payload := coalesce(p_payload, v_job.payload);
    v_job.priority := coalesce(p_priority, v_job.priority);
    v_job.run_at := coalesce(p_run_at, v_job.run_at);
    perform pgq._check_job(v_job);
    for v_round in 1 .. 2 loop
        select d.* into v_delayed from pgq.delayed d where d.job_id = p_id for update skip locked;
        exit when found;
        select r.* into v_ready from pgq.ready r where r.job_id = p_id for update skip locked;
        exit when found;
        select d.* into v_dead from pgq.dead d where d.job_id = p_id for update skip locked;
        exit when found;
    end loop;
    v_lane := coalesce(v_delayed.lane, v_ready.lane, v_dead.lane);
    if v_lane is null then
        perform pgq._refuse_state(p_id, 'edit', array['scheduled', 'ready', 'retrying', 'dead']);
    end if;
    if p_priority is not null then
        v_lane := pgq._enter_lane(
            v_job.queue,
            p_priority,
            coalesce(v_delayed.suspect, v_ready.suspect, false),
            starts_with(v_job.task, 'pgq.')
        );
    end if;
    update pgq.job j
    set payload = coalesce(p_payload, j.payload),
        priority = coalesce(p_priority, j.priority),
        run_at = coalesce(p_run_at, j.run_at)
    where j.id = p_id;

    if v_delayed.job_id is not null then
        if p_run_at <= now() then
            perform pgq._undelay(v_delayed, v_lane);
        else
            update pgq.delayed d
            set lane = v_lane,
                run_at = coalesce(p_run_at, d.run_at)
            where d.job_id = p_id;
        end if;
    elsif v_ready.job_id is not null then
        if p_run_at > now() then
            delete from pgq.ready r where r.job_id = p_id;
            insert into pgq.delayed (
                run_at, job_id, lane, attempt, crashes, suspect, has_key, why, unknown_since
            )
            values (
                p_run_at,
                p_id,
                v_lane,
                v_ready.attempt,
                v_ready.crashes,
                v_ready.suspect,
                v_ready.has_key,
                'scheduled',
                v_ready.unknown_since
            );
            perform pgq._count(v_lane, 'transition', 'ready>scheduled');
        elsif v_lane <> v_ready.lane then
            delete from pgq.ready r where r.job_id = p_id;
            insert into pgq.ready (lane, job_id, due_at, attempt, crashes, suspect, has_key, unknown_since)
            values (
                v_lane,
                p_id,
                v_ready.due_at,
                v_ready.attempt,
                v_ready.crashes,
                v_ready.suspect,
                v_ready.has_key,
                v_ready.unknown_since
            );
        end if;
    else
        update pgq.dead d set lane = v_lane where d.job_id = p_id;
    end if;
end
$$;
comment on function pgq.edit is
    'Changes payload, priority or run_at of a job that waits or is dead, which keeps its id; null leaves as is. Another priority puts a ready job last in its new lane; a run_at that has passed makes a delayed one ready. PQ003: it is in another state. PQ005: as for a new job. PQ007: somebody else is moving it.';
select pgq._allow('edit', 'pgq_operator');
