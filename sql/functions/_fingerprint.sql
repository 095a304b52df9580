create or replace function pgq._fingerprint(
    p_task         text,
    p_reason       text,
    p_error_class  text,
    p_message      text
)
returns text
language sql
immutable
set search_path = ''
as $$
    select left(
        encode(
            sha256(
                convert_to(
                    concat_ws(
                        e'\x01',
                        p_task,
                        p_reason,
                        p_error_class,
                        regexp_replace(left(p_message, 1000), '[0-9]+', '0', 'g')
                    ),
                    'UTF8'
                )
            ),
            'hex'
        ),
        16
    )
$$;
comment on function pgq._fingerprint is
    'Same for errors of a task that differ only in digits; the first 16 hexadecimal digits of a SHA-256.';
select pgq._allow('_fingerprint');
