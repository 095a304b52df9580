create or replace function pgq._parse_job(p_item json)
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
    v_delay   interval;
    v_field   text;
    v_why     text;
begin
    if json_typeof(p_item) <> 'object' then
        perform pgq._refuse(
            'PQ005',
            'not a job',
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
            format('unknown field %L', left(v_field, 100)),
            format('Expected some of %s.', array_to_string(v_fields, ', '))
        );
    end if;
    v_job.id := nextval('pgq.job_id_seq');
    v_job.queue := 'default';
    v_job.priority := 5;
    v_job.tags := '{}';
    v_job.created_at := now();
    v_job := json_populate_record(v_job, p_item);
    -- A payload of null is a payload.
    v_job.payload := coalesce(p_item -> 'payload', '{}');
    v_delay := case json_typeof(p_item -> 'delay')
        when 'number' then make_interval(secs => (p_item ->> 'delay')::double precision)
        else (p_item ->> 'delay')::interval
    end;
    v_job.run_at := pgq._run_at(v_job.run_at, v_delay);
    return v_job;
exception
    when untranslatable_character then
        get stacked diagnostics v_why = pg_exception_detail;
        perform pgq._refuse(
            'PQ005', 'bad text', v_why, 'Leave it out, or INSERT into pgq.job, which keeps a payload as sent.'
        );
    when data_exception then
        -- Which field it was.
        for v_field in select k.field from json_object_keys(p_item) k (field) where k.field <> 'payload' loop
            begin
                if v_field <> 'delay' then
                    perform json_populate_record(
                        null::pgq.job, json_build_object(v_field, p_item -> v_field)
                    );
                elsif json_typeof(p_item -> 'delay') = 'number' then
                    perform make_interval(secs => (p_item ->> 'delay')::double precision);
                else
                    perform (p_item ->> 'delay')::interval;
                end if;
            exception
                when data_exception then
                    get stacked diagnostics v_why = message_text;
                    perform pgq._refuse(
                        'PQ005',
                        format('bad %s', v_field),
                        format('%s is %s: %s.', v_field, left((p_item -> v_field)::text, 100), v_why)
                    );
            end;
        end loop;
        raise;
end
$$;
comment on function pgq._parse_job is
    'The job, with a new id, that a JSON object of the public columns'' names and delay describes. PQ005 names the field.';
select pgq._allow('_parse_job');
