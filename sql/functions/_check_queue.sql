create or replace function pgq._check_queue(p_queue text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_queue is null or length(p_queue) not between 1 and 200 then
        perform pgq._refuse(
            'PQ005',
            'bad queue',
            format('queue is %s; expected 1 to 200 characters.', coalesce(quote_literal(left(p_queue, 100)), 'null'))
        );
    end if;
end
$$;
comment on function pgq._check_queue is 'Raises PQ005 for what cannot be the name of a queue.';
select pgq._allow('_check_queue');
