create or replace function pgq._hold_request(p_owner text, p_key text, p_fingerprint bytea)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if not coalesce(
        length(p_owner) between 1 and 200 and length(p_key) between 1 and 255
            and octet_length(p_fingerprint) between 1 and 64,
        false
    ) then
        perform pgq._refuse(
            'PQ005',
            'bad idempotency key',
            format('owner %s, key %s, fingerprint of %s bytes; expected 1 to 200 characters, 1 to 255 and a hash of 1 to 64.',
                   coalesce(quote_literal(left(p_owner, 100)), 'null'),
                   coalesce(quote_literal(left(p_key, 100)), 'null'),
                   coalesce(octet_length(p_fingerprint), 0)),
            'Correct the key: nothing was done.'
        );
    end if;
    -- The same transaction may take it twice.
    if not pg_try_advisory_xact_lock(1885827432, hashtext(format('%L %L', p_owner, p_key))) then
        perform pgq._refuse(
            'PQ007',
            format('a request with the key %L is in progress', p_key),
            'Another transaction has it and has not ended.',
            'Try again: the answer will be that of the request that is under way.'
        );
    end if;
end
$$;
comment on function pgq._hold_request is
    'Takes an idempotency key until the transaction ends. PQ007: another transaction has it.';
select pgq._allow('_hold_request');
