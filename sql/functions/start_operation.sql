create or replace function pgq.start_operation(
    p_verb            text,
    p_ids             bigint[]          default null,
    p_queue           text              default null,
    p_state           text              default null,
    p_task            text              default null,
    p_tag             text              default null,
    p_worker          bigint            default null,
    p_fingerprint     text              default null,
    p_created_after   timestamptz       default null,
    p_created_before  timestamptz       default null,
    p_path            text[]            default null,
    p_value           text              default null,
    p_queues          text[]            default null,
    p_payload         json              default null,
    p_limit           bigint            default null,
    p_rate            double precision  default null,
    p_by              text              default null
)
returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_filter    jsonb;
    v_up_to     bigint := (select s.last_value from pgq.job_id_seq s);
    v_expected  bigint;
    v_id        bigint;
begin
    if p_verb is null then
        perform pgq._refuse('PQ005', 'bad verb', 'p_verb is null; expected cancel, retry, run_now or purge.');
    elsif num_nonnulls(
        p_ids, p_queue, p_state, p_task, p_tag, p_worker, p_fingerprint, p_created_after,
        p_created_before, p_path
    ) = 0 then
        perform pgq._refuse(
            'PQ005',
            format('%s without a condition', p_verb),
            'Expected p_ids or at least one filter.',
            'To do it to all jobs say so: p_created_after => ''-infinity''.'
        );
    elsif p_limit < 1 then
        perform pgq._refuse('PQ005', 'bad limit', format('p_limit is %s; expected 1 or more.', p_limit));
    elsif not (p_rate > 0 and p_rate <= 1000000) then
        perform pgq._refuse(
            'PQ005',
            'bad rate',
            format('p_rate is %s; expected more than 0, at most 1000000 jobs a second.', p_rate)
        );
    elsif p_payload is not null and (p_verb <> 'retry' or json_typeof(p_payload) <> 'object') then
        perform pgq._refuse(
            'PQ005',
            'bad payload',
            format('It is %s for %s; expected an object, for retry.', json_typeof(p_payload), p_verb),
            'Its keys replace those of each job''s payload.'
        );
    elsif length(p_by) > 200 then
        perform pgq._refuse('PQ005', 'bad p_by', 'It is too long; expected at most 200 characters.');
    end if;
    v_filter := pgq._job_filter(
        p_queue => p_queue,
        p_state => p_state,
        p_task => p_task,
        p_tag => p_tag,
        p_worker => p_worker,
        p_fingerprint => p_fingerprint,
        p_created_after => p_created_after,
        p_created_before => p_created_before,
        p_path => p_path,
        p_value => p_value,
        p_queues => p_queues,
        p_verb => p_verb
    );
    select case when count(f.id) <= 10000 and max(f.looked_to) is null then least(count(f.id), p_limit) end
    into v_expected
    from pgq._find_jobs(
        v_filter,
        p_after => null,
        p_before => v_up_to + 1,
        p_oldest_first => true,
        p_most => 10001,
        p_rows => 100000,
        p_budget => interval '250 milliseconds',
        p_ids => p_ids
    ) f;
    insert into pgq.operation (
        verb, filter, ids, payload, most, rate, started_by, up_to, expected
    )
    values (p_verb, v_filter, p_ids, p_payload, p_limit, p_rate, p_by, v_up_to, v_expected)
    returning id into v_id;
    return v_id;
end
$$;
comment on function pgq.start_operation is
    'Lets upkeep cancel, retry, run_now or purge all jobs that there are now and that pass a filter, or these ids, oldest first: p_limit of them, p_rate a second. p_payload, for retry: its keys replace those of each payload. Returns its id at once. Skipped are jobs that are not in a state for the verb any more, whose unique key is taken, whose payload is no object or would be over the limit, and that somebody else keeps moving.';
select pgq._allow('start_operation', 'pgq_operator');
