create or replace function pgq.list_tasks()
returns table (
    task     text,
    schema   json,
    queues   text[],
    workers  integer
)
language sql
stable
security definer
set search_path = ''
set jit = off
as $$
    with known as materialized (
        select w.id, w.queues, t.key as task, t.value as schema
        from pgq._live_worker w
        cross join lateral json_each(w.tasks) t
    ),
    newest as (
        select distinct on (k.task) k.task, k.schema
        from known k
        order by k.task, k.id desc
    )
    select
        n.task,
        nullif(n.schema::text, 'null')::json,
        array(
            select distinct q.queue
            from known k
            cross join lateral unnest(k.queues) q (queue)
            where k.task = n.task
            order by q.queue
        ),
        (select count(distinct k.id)::integer from known k where k.task = n.task)
    from newest n
    order by n.task
$$;
comment on function pgq.list_tasks is
    'Tasks that live workers know: the JSON Schema of the payload, as the newest of them says (null: none is known), the queues that they take jobs from, and how many they are.';
select pgq._allow('list_tasks', 'pgq_viewer');
