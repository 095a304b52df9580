create or replace function pgq._refuse(
    p_code     text,
    p_message  text,
    p_detail   text default '',
    p_hint     text default ''
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    raise exception using
        errcode = p_code, message = p_message, detail = p_detail, hint = p_hint;
end
$$;
comment on function pgq._refuse is 'Raises an error with one of our SQLSTATEs, for SQL functions too.';
select pgq._allow('_refuse');
