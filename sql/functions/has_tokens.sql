create or replace function pgq.has_tokens()
returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select exists (select from pgq._valid_token)
$$;
comment on function pgq.has_tokens is 'Whether anybody has a token that is neither revoked nor expired.';
select pgq._allow('has_tokens', 'pgq_admin');
