create or replace function pgq.enqueue(
    p_task          text,
    p_payload       json         default '{}',
    p_queue         text         default 'default',
    p_priority      integer      default 5,
    p_run_at        timestamptz  default null,
    p_delay         interval     default null,
    p_max_attempts  integer      default null,
    p_timeout       interval     default null,
    p_backoff_base  interval     default null,
    p_backoff_max   interval     default null,
    p_unique_key    text         default null,
    p_tags          text[]       default '{}',
    p_headers       json         default null
)
returns table (id bigint, created boolean)
language plpgsql
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_id      bigint;
    v_run_at  timestamptz := pgq._run_at(p_run_at, p_delay);
begin
    -- The job that has the key may end between the insert and the look.
    for v_try in 1 .. 100 loop
        insert into pgq.job (
            task, payload, queue, priority, run_at, max_attempts, timeout, backoff_base, backoff_max,
            unique_key, tags, headers
        )
        values (
            p_task,
            p_payload,
            p_queue,
            p_priority,
            v_run_at,
            p_max_attempts,
            p_timeout,
            p_backoff_base,
            p_backoff_max,
            p_unique_key,
            p_tags,
            p_headers
        )
        returning id into v_id;
        if v_id is not null then
            return query select v_id, true;
            return;
        end if;
        select k.job_id
        into v_id
        from pgq.unique_key k
        where k.queue = p_queue
            and k.key = p_unique_key;
        if v_id is not null then
            return query select v_id, false;
            return;
        end if;
    end loop;
    perform pgq._refuse(
        'PQ007',
        format('unique key %L of queue %L is busy', p_unique_key, p_queue),
        'Each job that had it ended before its id could be read.',
        'Try again.'
    );
end
$$;
comment on function pgq.enqueue is
    'Enters a job and returns its id; when an unfinished job of the queue has the unique key, that job''s id and created false. p_delay counts from this call. PQ005: a value makes no sense.';
select pgq._allow('enqueue', 'pgq_enqueuer');
