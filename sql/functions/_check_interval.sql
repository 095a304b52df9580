create or replace function pgq._check_interval(p_name text, p_value interval, p_positive boolean)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_value < interval '0' or p_positive and p_value = interval '0' or not isfinite(p_value) then
        perform pgq._refuse(
            'PQ005',
            format('bad %s', p_name),
            format('%s is %L; expected %s.', p_name, p_value,
                   case when p_positive then 'more than 0' else '0 or more' end),
            'Correct the value: no setting was changed.'
        );
    end if;
end
$$;
comment on function pgq._check_interval is 'Raises PQ005 for a setting that is a negative interval, or, when it has to be positive, zero; null passes.';
select pgq._allow('_check_interval');
