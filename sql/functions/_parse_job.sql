create or replace function pgq._parse_job(p_item json, p_n bigint)
returns pgq.job
language plpgsql
set search_path = ''
as $$
declare
    v_fields  text[] := array[
        'task', 'payload', 'queue', 'priority', 'run_at', 'delay', 'max_attempts', 'timeout',
        'backoff_base', 'backoff_max', 'unique_key', 'tags', 'headers'
    ];
    v_job     pgq.job;
    v_field   text;
    v_delay   interval;
    v_why     text;
begin
    if p_item is null or json_typeof(p_item) <> 'object' then
        perform pgq._refuse(
            'PQ005',
            format('item %s: not a job', p_n),
            format('It is %s; expected a JSON object with at least "task".', left(p_item::text, 100))
        );
    end if;
    select k.field
    into v_field
    from json_object_keys(p_item) k (field)
    where k.field <> all (v_fields)
    limit 1;
    if found then
        perform pgq._refuse(
            'PQ005',
            format('item %s: unknown field %L', p_n, left(v_field, 100)),
            format('Expected %s.', array_to_string(v_fields, ', '))
        );
    end if;
    v_job.queue := 'default';
    v_job.priority := 5;
    v_job.tags := '{}';
    foreach v_field in array v_fields loop
        continue when p_item -> v_field is null;
        begin
            if v_field = 'payload' then
                v_job.payload := p_item -> 'payload';
            elsif v_field = 'delay' then
                v_delay := case json_typeof(p_item -> 'delay')
                    when 'number' then make_interval(secs => (p_item ->> 'delay')::double precision)
                    else (p_item ->> 'delay')::interval
                end;
            else
                v_job := json_populate_record(v_job, json_build_object(v_field, p_item -> v_field));
            end if;
        exception
            when data_exception then
                get stacked diagnostics v_why = message_text;
                perform pgq._refuse(
                    'PQ005',
                    format('item %s: bad %s', p_n, v_field),
                    format('%s is %s: %s.', v_field, left(p_item ->> v_field, 100), v_why),
                    'Correct the value and enqueue again: nothing of this call was kept.'
                );
        end;
    end loop;
    v_job.payload := coalesce(v_job.payload, '{}');
    v_job.run_at := pgq._run_at(v_job.run_at, v_delay);
    return v_job;
end
$$;
comment on function pgq._parse_job is
    'The job that an item of enqueue_many describes, without an id. PQ005 names the item and the field.';
select pgq._allow('_parse_job');
