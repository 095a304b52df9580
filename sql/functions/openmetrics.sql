create or replace function pgq.openmetrics(p_queues integer default 50)
returns text
language sql
volatile
security definer
set search_path = ''
set jit = off
as $$
    with family as (
        select f.*, regexp_replace(f.metric, '_total$', '') as name
        from pgq.list_metrics() with ordinality f (metric, type, labels, help, place)
    ),
    sample as (
        select
            m.n,
            m.metric,
            format(
                '%s%s%s %s',
                m.metric,
                m.suffix,
                (
                    select '{' || string_agg(
                        format(
                            '%s="%s"',
                            (f.labels || array['le'])[l.place],
                            replace(replace(replace(l.value, '\', '\\'), '"', '\"'), E'\n', '\n')
                        ),
                        ',' order by l.place
                    ) || '}'
                    from unnest(m.labels) with ordinality l (value, place)
                ),
                m.value
            ) as line
        from pgq.metrics(p_queues) with ordinality m (metric, suffix, labels, value, n)
        join family f on f.metric = m.metric
    )
    select string_agg(t.text, E'\n' order by t.place) || E'\n# EOF\n'
    from (
        select
            f.place,
            format(E'# HELP %s %s\n# TYPE %s %s', f.name, f.help, f.name, f.type)
                || coalesce(string_agg(E'\n' || s.line, '' order by s.n), '') as text
        from family f
        left join sample s on s.metric = f.metric
        group by f.place, f.name, f.type, f.help
    ) t
$$;
comment on function pgq.openmetrics is
    'The metrics as text, in the format of OpenMetrics 1.0, as the server tells them at /metrics. See pgq.metrics.';
select pgq._allow('openmetrics', 'pgq_viewer');
