create or replace function pgq.purge(
    p_ids          bigint[]  default null,
    p_queue        text      default null,
    p_task         text      default null,
    p_fingerprint  text      default null,
    p_older_than   interval  default null,
    p_limit        integer   default 1000
)
returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_ids bigint[];
begin
    perform pgq._check_limit(p_limit, 100000);
    if num_nonnulls(p_ids, p_queue, p_task, p_fingerprint, p_older_than) = 0 then
        perform pgq._refuse(
            'PQ005',
            'purge without a condition',
            'Expected at least one of p_ids, p_queue, p_task, p_fingerprint, p_older_than.',
            'To delete all dead letters say so: p_older_than => ''0 seconds''.'
        );
    end if;
    v_ids := array(
        select d.job_id
        from pgq.dead d
        left join pgq.job j on j.id = d.job_id
        where (p_ids is null or d.job_id = any (p_ids))
            and (p_fingerprint is null or d.fingerprint = p_fingerprint)
            and (p_older_than is null or d.died_at <= now() - p_older_than)
            and (p_queue is null or j.queue = p_queue)
            and (p_task is null or j.task = p_task)
        order by d.died_at, d.job_id
        limit p_limit
        for update of d skip locked
    );
    insert into pgq.tally (queue, metric, label, n)
    select j.queue, 'transition', 'dead>', count(*)
    from pgq.job j
    where j.id = any (v_ids)
    group by j.queue;
    delete from pgq.dead d where d.job_id = any (v_ids);
    perform pgq._erase(v_ids);
    return cardinality(v_ids);
end
$$;
comment on function pgq.purge is
    'Deletes dead letters for good, oldest first, with their attempts and logs; returns how many. At least one condition must be given; all that are given hold. Those that somebody else is moving stay.';
select pgq._allow('purge', 'pgq_operator');
