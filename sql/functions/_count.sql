create or replace function pgq._count(
    p_lane    bigint,
    p_metric  text,
    p_label   text,
    p_n       bigint default 1
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into pgq.tally (queue, metric, label, n)
    select l.queue, p_metric, p_label, p_n
    from pgq.lane l
    where l.lane = p_lane
    order by l.id
    limit 1;
end
$$;
comment on function pgq._count is
    'Counts something about one lane''s queue. Metric "transition" has labels "from>to" with the states of job_status, one side empty for jobs that appear or vanish; what appears from a session of our own programs comes from "http", "python" or "cli"; "stale" is counted by _count_stale.';
select pgq._allow('_count');
