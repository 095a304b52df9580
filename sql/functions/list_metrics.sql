create or replace function pgq.list_metrics()
returns table (
    metric  text,
    type    text,
    labels  text[],
    help    text
)
language sql
immutable
security definer
set search_path = ''
as $$
    select *
    from (
        values
            -- What happened, since the installation.
            ('pgq_jobs_enqueued_total', 'counter', '{queue,source}'::text[],
                'Jobs made, by who made them: sql (any session), http (the server), python (the client library''s own sessions), cli.'),
            ('pgq_jobs_started_total', 'counter', '{queue}', 'Jobs handed to workers, each attempt counted.'),
            ('pgq_jobs_finished_total', 'counter', '{queue,outcome}',
                'Jobs that ended: succeeded, cancelled or dead.'),
            ('pgq_job_attempts_total', 'counter', '{queue,result}',
                'Attempts that ended: succeeded, error, timeout, crashed, lost, cancelled, released or unknown_task.'),
            ('pgq_job_retries_total', 'counter', '{queue,reason}',
                'Attempts after which the job is tried again: error, timeout, crashed or lost.'),
            ('pgq_jobs_dead_total', 'counter', '{queue,reason}',
                'Dead letters made: error, timeout, crashed or unknown_task.'),
            ('pgq_lease_expirations_total', 'counter', '{queue}',
                'Leases that ended because nobody held them any more: a worker was lost, or did not extend one.'),
            ('pgq_stale_completions_total', 'counter', '{queue,write}',
                'Writes about jobs that were refused because the lease was lost: complete, fail or log.'),
            ('pgq_workers_lost_total', 'counter', '{}', 'Workers that were not heard of for the length of a lease.'),
            ('pgq_repaired_total', 'counter', '{reason}',
                'What the audit found wrong and mended: no_state, two_states, below_floor or counter. Anything but 0 is a fault, or somebody''s doing.'),
            ('pgq_job_wait_seconds', 'histogram', '{queue}',
                'From when a job could have started to its first attempt.'),
            ('pgq_job_run_seconds', 'histogram', '{queue}',
                'How long handlers ran, those that succeeded and those that failed.'),
            ('pgq_job_total_seconds', 'histogram', '{queue}',
                'From when a job could have started to its success, over all of its attempts.'),
            -- How things stand.
            ('pgq_jobs', 'gauge', '{queue,state}', 'Jobs: scheduled, ready, running, retrying or dead.'),
            ('pgq_queue_oldest_ready_age_seconds', 'gauge', '{queue}',
                'How long the job has waited that is next, over all priorities the longest; 0 when none waits. Not told for other.'),
            ('pgq_queue_paused', 'gauge', '{queue}', '1 when the queue is paused.'),
            ('pgq_queue_paused_seconds', 'gauge', '{queue}', 'For how long it has been, else 0.'),
            ('pgq_queue_workers', 'gauge', '{queue}', 'Live workers that take from the queue and do not drain.'),
            ('pgq_queue_max_attempts', 'gauge', '{queue}', 'Most attempts of a job that does not say.'),
            ('pgq_queue_timeout_seconds', 'gauge', '{queue}', 'Timeout of a job that does not say.'),
            ('pgq_queues', 'gauge', '{}', 'Queues, those counted together as other too.'),
            ('pgq_workers', 'gauge', '{state}', 'Workers: available, busy, draining, or offline lately.'),
            ('pgq_worker_slots', 'gauge', '{}', 'Jobs that live workers can run at once.'),
            ('pgq_worker_busy_slots', 'gauge', '{}', 'Jobs that they ran at their last heartbeat.'),
            ('pgq_worker_heartbeat_age_seconds', 'gauge', '{}',
                'The longest that a live worker has not been heard of; 0 when there is none.'),
            ('pgq_operations', 'gauge', '{}', 'Operations on many jobs that are running.'),
            -- Postgres under the queue.
            ('pgq_schema_version', 'gauge', '{}', 'Version of the queue''s schema.'),
            ('pgq_upkeep_age_seconds', 'gauge', '{}', 'Since upkeep last ran; workers do it each second.'),
            ('pgq_floor_age_seconds', 'gauge', '{}', 'Since the mark last moved that lets claims skip dead rows.'),
            ('pgq_stragglers', 'gauge', '{}', 'Open transactions that have made jobs and stay open.'),
            ('pgq_partitions_ahead', 'gauge', '{}',
                'Daily partitions that are there after today''s; upkeep makes seven.'),
            ('pgq_oldest_transaction_age_seconds', 'gauge', '{}',
                'Age of the oldest transaction of this database, which keeps vacuum from removing dead rows; 0 when there is none. pgq.database_health() tells whose it is.'),
            ('pgq_oldest_snapshot_age_transactions', 'gauge', '{}',
                'How many transactions ago the oldest snapshot or replication slot was taken.'),
            ('pgq_notification_queue_ratio', 'gauge', '{}', 'How full the server''s queue of notifications is, 0 to 1.'),
            ('pgq_connections', 'gauge', '{}', 'Sessions of the whole server.'),
            ('pgq_connections_limit', 'gauge', '{}', 'Its max_connections.'),
            ('pgq_database_time_seconds', 'gauge', '{}',
                'The database''s clock, as Unix time: to be compared with the time of the scrape.'),
            ('pgq_table_size_bytes', 'gauge', '{table}', 'Size of the queue''s tables with their indexes, days added up.'),
            ('pgq_table_dead_rows', 'gauge', '{table}', 'Dead rows in them, as Postgres estimates.'),
            ('pgq_collect_seconds', 'gauge', '{}', 'How long it took the database to tell all this.')
    ) m (metric, type, labels, help)
$$;
comment on function pgq.list_metrics is
    'Metrics of the whole cluster: their names, types, labels and meaning. This is the only place that has them: pgq.openmetrics, the server and the reference read it.';
select pgq._allow('list_metrics', 'pgq_viewer');
