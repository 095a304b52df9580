create or replace function pgq._seen(
    p_stream  text,
    p_last    bigint,
    p_lag     interval
)
returns bigint
language plpgsql
set search_path = ''
as $$
begin
    if not exists (
        select
        from (
            select c.at from pgq.cursor c where c.stream = p_stream order by c.id desc limit 1
        ) n
        where n.at between clock_timestamp() - p_lag / 4 and clock_timestamp()
    ) then
        insert into pgq.cursor (stream, value) values (p_stream, p_last);
    end if;
    return coalesce((
        select c.value
        from pgq.cursor c
        where c.stream = p_stream
            and c.at < clock_timestamp() - p_lag
        order by c.id desc
        limit 1
    ), 0);
end
$$;
comment on function pgq._seen is
    'Notes the last value of a stream''s sequence now and then; returns what it was so long ago, 0 if that is not known.';
select pgq._allow('_seen');

create or replace function pgq._is_due(p_stream text, p_every interval)
returns boolean
language plpgsql
set search_path = ''
as $$
begin
    if exists (
        select
        from (
            select c.at from pgq.cursor c where c.stream = p_stream order by c.id desc limit 1
        ) n
        where n.at between clock_timestamp() - p_every and clock_timestamp()
    ) then
        return false;
    end if;
    insert into pgq.cursor (stream, value) values (p_stream, 0);
    return true;
end
$$;
comment on function pgq._is_due is
    'Whether this was last said so long ago, or in the future, by a clock that was set back since.';
select pgq._allow('_is_due');

create or replace function pgq._swept_to(p_stream text)
returns bigint
language plpgsql
stable
set search_path = ''
as $$
begin
    return coalesce(
        (select c.value from pgq.cursor c where c.stream = p_stream order by c.id desc limit 1), 0
    );
end
$$;
comment on function pgq._swept_to is 'How far a sweep of upkeep has come, 0 before its first round.';
select pgq._allow('_swept_to');
