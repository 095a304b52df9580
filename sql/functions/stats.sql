create or replace function pgq.stats()
returns table (
    queue   text,
    metric  text,
    label   text,
    bucket  real,
    n       bigint,
    sum     double precision
)
language sql
stable
security definer
set search_path = ''
set jit = off
as $$
    select c.queue, c.metric, c.label, c.bucket, sum(c.n)::bigint, sum(c.sum)
    from (
        select c.queue, c.metric, c.label, c.bucket, c.n, c.sum from pgq.counter c
        union all
        select t.* from pgq._apart(array(select t from pgq.tally t)) t
    ) c
    group by c.queue, c.metric, c.label, c.bucket
    order by c.queue, c.metric, c.label, c.bucket
$$;
comment on function pgq.stats is
    'What was counted since the schema was installed. It never counts jobs: what stands where is the difference of "transition" labels, those that end in ">state" less those that begin with "state>".';
select pgq._allow('stats', 'pgq_viewer');
