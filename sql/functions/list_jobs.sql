create or replace function pgq.list_jobs(
    p_queue   text     default null,
    p_state   text     default null,
    p_task    text     default null,
    p_tag     text     default null,
    p_before  bigint   default null,
    p_limit   integer  default 50
)
returns setof pgq.job_status
language plpgsql
stable
security definer
set search_path = ''
-- The right plan goes down the index of the ids from the newest, on tables never analysed too.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    v_source    text;
    v_filtered  boolean := num_nonnulls(p_queue, p_task, p_tag) > 0;
    v_ids       bigint[];
begin
    perform pgq._check_limit(p_limit, 10000);
    v_source := case coalesce(p_state, '')
        when '' then 'select s.id from pgq.job s where s.id < $1 order by s.id desc'
        when 'scheduled' then 'select s.job_id from pgq.delayed s where s.job_id < $1 and s.why <> ''retry'' order by s.job_id desc'
        when 'retrying' then 'select s.job_id from pgq.delayed s where s.job_id < $1 and s.why = ''retry'' order by s.job_id desc'
        when 'ready' then 'select s.job_id from pgq.ready s where s.job_id < $1 order by s.job_id desc'
        when 'running' then 'select s.job_id from pgq.lease s where s.job_id < $1 order by s.job_id desc'
        when 'succeeded' then 'select s.job_id from pgq.finished s where s.job_id < $1 and s.outcome = ''succeeded'' order by s.job_id desc'
        when 'cancelled' then 'select s.job_id from pgq.finished s where s.job_id < $1 and s.outcome = ''cancelled'' order by s.job_id desc'
        when 'dead' then 'select s.job_id from pgq.dead s where s.job_id < $1 order by s.job_id desc'
    end;
    if v_source is null then
        perform pgq._refuse(
            'PQ005',
            'bad state',
            format('p_state is %L; expected scheduled, ready, running, retrying, succeeded, cancelled or dead.', left(p_state, 100))
        );
    end if;
    return query execute
        case when v_filtered then ... end
    using coalesce(p_before, 9223372036854775807), p_limit;
end
$$;
