create or replace function pgq._check_array(p_name text, p_length integer, p_most integer)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_length > p_most then
        perform pgq._refuse(
            'PQ005',
            format('too many %s', p_name),
            format('%s has %s elements; expected at most %s.', p_name, p_length, p_most),
            'Call once for each part of them.'
        );
    end if;
end
$$;
comment on function pgq._check_array is 'Raises PQ005 for an array that is longer than a verb takes.';
select pgq._allow('_check_array');
