create or replace function pgq._check_job(p_job pgq.job)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_name      text;
    v_value     text;
    v_expected  text;
    v_hint      text := 'Correct the value and insert again: nothing of this statement was kept.';
    v_limit     integer := (select s.payload_limit from pgq._settings(p_job.queue) s);
begin
    if p_job.task is null or length(p_job.task) not between 1 and 200 then
        v_name := 'task';
        v_value := p_job.task;
        v_expected := '1 to 200 characters';
    elsif p_job.queue is null or length(p_job.queue) not between 1 and 200 then
        v_name := 'queue';
        v_value := p_job.queue;
        v_expected := '1 to 200 characters';
    elsif p_job.priority is null or p_job.priority not between 0 and 9 then
        v_name := 'priority';
        v_value := p_job.priority;
        v_expected := '0 (soonest) to 9';
    elsif p_job.payload is null then
        v_name := 'payload';
        v_expected := 'JSON';
    elsif octet_length(p_job.payload::text) > v_limit then
        v_name := 'payload';
        v_value := octet_length(p_job.payload::text) || ' bytes';
        v_expected := format('at most %s bytes in queue %L', v_limit, p_job.queue);
        v_hint := 'Store large data elsewhere and put its address into the payload, or raise payload_limit with pgq.configure_queue.';
    elsif not isfinite(p_job.run_at) then
        v_name := 'run_at';
        v_value := p_job.run_at;
        v_expected := 'a finite time';
    elsif p_job.max_attempts not between 1 and 32767 then
        v_name := 'max_attempts';
        v_value := p_job.max_attempts;
        v_expected := '1 to 32767';
    elsif p_job.timeout <= interval '0' then
        v_name := 'timeout';
        v_value := p_job.timeout;
        v_expected := 'more than 0';
    elsif p_job.backoff_base < interval '0' then
        v_name := 'backoff_base';
        v_value := p_job.backoff_base;
        v_expected := '0 or more';
    elsif p_job.backoff_max < interval '0' then
        v_name := 'backoff_max';
        v_value := p_job.backoff_max;
        v_expected := '0 or more';
    elsif length(p_job.unique_key) not between 1 and 200 then
        v_name := 'unique_key';
        v_value := p_job.unique_key;
        v_expected := '1 to 200 characters';
    elsif cardinality(p_job.tags) > 100
        or exists (
            select from unnest(p_job.tags) t (tag) where t.tag is null or length(t.tag) not between 1 and 200
        )
    then
        v_name := 'tags';
        v_value := p_job.tags::text;
        v_expected := 'at most 100 tags of 1 to 200 characters';
    elsif json_typeof(p_job.headers) <> 'object' then
        v_name := 'headers';
        v_value := p_job.headers::text;
        v_expected := 'a JSON object';
    else
        return;
    end if;
    if v_value is null then
        v_hint := 'Leave the column out to get its default.';
        if v_name = 'task' then
            v_hint := 'Say which task is to run.';
        end if;
    end if;
    perform pgq._refuse(
        'PQ005',
        format('bad %s', v_name),
        format('%s is %s; expected %s.', v_name, coalesce(quote_literal(left(v_value, 100)), 'null'), v_expected),
        v_hint
    );
end
$$;
comment on function pgq._check_job is 'Raises PQ005 for the first value of a job that makes no sense; the same conditions as in pgq._route.';
select pgq._allow('_check_job');
