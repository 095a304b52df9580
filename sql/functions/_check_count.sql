create or replace function pgq._check_count(p_name text, p_value integer, p_most integer)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_value not between 1 and p_most then
        perform pgq._refuse(
            'PQ005',
            format('bad %s', p_name),
            format('%s is %s; expected 1 to %s.', p_name, p_value, p_most),
            'Correct the value: no setting was changed.'
        );
    end if;
end
$$;
comment on function pgq._check_count is 'Raises PQ005 for a setting that is not a count from 1 to p_most; null passes.';
select pgq._allow('_check_count');
