create or replace function pgq._check_limit(p_limit integer, p_most integer)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_limit is null or p_limit not between 1 and p_most then
        perform pgq._refuse(
            'PQ005',
            'bad limit',
            format('p_limit is %s; expected 1 to %s.', coalesce(p_limit::text, 'null'), p_most),
            'Call again for the rest.'
        );
    end if;
end
$$;
comment on function pgq._check_limit is 'Raises PQ005 for a limit that makes no sense.';
select pgq._allow('_check_limit');
