-- The tables of the queue. What stands in them, and who moves it, is told in sql/README.md.

create table pgq.migration (
    version     integer     not null primary key,
    name        text        not null,
    digest      text        not null,
    applied_at  timestamptz not null default now()
);
comment on table pgq.migration is 'Migrations of the schema that have been applied.';
comment on column pgq.migration.digest is 'SHA-256 of its file: a released one never changes.';

-- Settings --------------------------------------------------------------------------------------

create table pgq.setting (
    one                 boolean  not null default true primary key,
    lease               interval not null default interval '15 seconds',
    heartbeat           interval not null default interval '5 seconds',
    poll                interval not null default interval '1 second',
    max_attempts        integer  not null default 5,
    max_crashes         integer  not null default 3,
    timeout             interval not null default interval '10 minutes',
    backoff_base        interval not null default interval '1 second',
    backoff_max         interval not null default interval '1 hour',
    payload_limit       integer  not null default 1048576,
    result_limit        integer  not null default 1048576,
    log_lines           integer  not null default 10000,
    log_bytes           integer  not null default 1048576,
    keep_finished       interval not null default interval '7 days',
    keep_dead           interval not null default interval '30 days',
    unknown_task_after  interval not null default interval '1 hour',
    solo_children       integer  not null default 2,
    constraint setting_is_one_row check (one),
    constraint setting_lease_outlives_two_heartbeats
        check (heartbeat > interval '0' and lease > 2 * heartbeat),
    constraint setting_poll_is_positive check (poll > interval '0'),
    constraint setting_counts_are_positive
        check (max_attempts between 1 and 32767 and max_crashes between 1 and 32767
               and solo_children >= 1),
    constraint setting_limits_are_positive
        check (payload_limit > 0 and result_limit > 0 and log_lines > 0 and log_bytes > 0),
    constraint setting_intervals_are_positive
        check (timeout > interval '0' and backoff_base >= interval '0'
               and backoff_max >= interval '0' and keep_finished >= interval '0'
               and keep_dead >= interval '0' and unknown_task_after >= interval '0')
);
comment on table pgq.setting is 'Settings of the service, in one row; a queue may override some of them.';
insert into pgq.setting default values;

create table pgq.queue (
    queue               text        not null primary key,
    paused_at           timestamptz,
    max_attempts        integer,
    timeout             interval,
    backoff_base        interval,
    backoff_max         interval,
    payload_limit       integer,
    keep_finished       interval,
    keep_dead           interval,
    unknown_task_after  interval,
    constraint queue_name_has_1_to_200_characters check (length(queue) between 1 and 200),
    constraint queue_max_attempts_is_positive check (max_attempts between 1 and 32767),
    constraint queue_payload_limit_is_positive check (payload_limit > 0),
    constraint queue_intervals_are_positive
        check (timeout > interval '0' and backoff_base >= interval '0'
               and backoff_max >= interval '0' and keep_finished >= interval '0'
               and keep_dead >= interval '0' and unknown_task_after >= interval '0')
);
comment on table pgq.queue is
    'Settings of the queues that have any; null means the value in pgq.setting. Enqueueing never writes here.';

-- What callers asked for ------------------------------------------------------------------------

-- id >> 32 is the UTC day number, which names the partition. CACHE 1: an id is drawn when it is used.
create sequence pgq.job_id_seq as bigint cache 1 no cycle;
select setval('pgq.job_id_seq', (extract(epoch from now())::bigint / 86400) << 32);

create table pgq.job (
    id            bigint      not null default nextval('pgq.job_id_seq'),
    task          text,
    payload       json        default '{}',
    queue         text        default 'default',
    priority      integer     default 5,
    run_at        timestamptz,
    max_attempts  integer,
    timeout       interval,
    backoff_base  interval,
    backoff_max   interval,
    unique_key    text,
    tags          text[]      default '{}',
    headers       json,
    created_at    timestamptz not null default now(),
    primary key (id)
) partition by range (id);
comment on table pgq.job is
    'What a caller asked for, written once. INSERT is public; only task is required. Its state is the table in which its small row stands.';
comment on column pgq.job.payload is
    'Any JSON, kept as sent: an object holds keyword arguments, an array positional ones, else one argument.';
comment on column pgq.job.priority is '0 to 9, lower is sooner.';
comment on column pgq.job.run_at is 'Not before; null means now.';
comment on column pgq.job.max_attempts is 'Null means the queue''s; so too timeout, backoff_base and backoff_max.';
comment on column pgq.job.unique_key is
    'At most one unfinished job of the queue has it: inserting another inserts no row.';

create table pgq.unique_key (
    queue   text   not null,
    key     text   not null,
    job_id  bigint not null,
    primary key (queue, key)
);
comment on table pgq.unique_key is 'Unique keys of unfinished jobs.';

-- Where a job stands ----------------------------------------------------------------------------

-- The gates have no rows: whoever makes rows of ready (of lease) holds the gate's lock to the end of
-- the transaction, so that pgq.settle can tell when no lower seq can appear any more.
create table pgq.gate ();
comment on table pgq.gate is 'Locked in ROW EXCLUSIVE mode by every path into pgq.ready, and by nothing else.';
create table pgq.lease_gate ();
comment on table pgq.lease_gate is 'Locked in ROW EXCLUSIVE mode by every path into pgq.lease, and by nothing else.';

-- Not owned by a column (TRUNCATE … RESTART IDENTITY would reset it), CACHE 1 (a cached value could
-- be used below a floor), NO CYCLE.
create sequence pgq.ready_seq as bigint cache 1 no cycle;
create sequence pgq.lease_seq as bigint cache 1 no cycle;

create table pgq.lane (
    id        bigint  not null generated always as identity,
    lane      bigint  not null,
    queue     text    not null,
    priority  integer not null,
    suspect   boolean not null,
    reserved  boolean not null
);
create index lane_queue_idx on pgq.lane (queue, priority, id);
create index lane_lane_idx on pgq.lane (lane, id);
comment on table pgq.lane is
    'Lanes ever seen: (queue, priority, suspect, reserved) and the number that is derived from them. Append-only and without a unique constraint, on which producers would wait for each other; pgq.fold removes duplicates.';

create table pgq.ready (
    lane           bigint      not null,
    seq            bigint      not null default nextval('pgq.ready_seq'),
    job_id         bigint      not null,
    due_at         timestamptz not null default clock_timestamp(),
    attempt        integer     not null default 0,
    crashes        integer     not null default 0,
    suspect        boolean     not null default false,
    has_key        boolean     not null default false,
    unknown_since  timestamptz
);
create index ready_lane_seq_idx on pgq.ready (lane, seq);
create unique index ready_job_id_idx on pgq.ready (job_id);
comment on table pgq.ready is 'Jobs that may start now, in the order of seq within a lane.';
comment on column pgq.ready.due_at is 'Since when the job could have started first; retries keep it.';
comment on column pgq.ready.attempt is 'Attempts that were charged so far.';
comment on column pgq.ready.crashes is 'Children that died with the job alone in them.';
comment on column pgq.ready.suspect is 'Its handler may have begun in a process that died: it runs alone.';

create table pgq.delayed (
    run_at         timestamptz not null,
    job_id         bigint      not null,
    lane           bigint      not null,
    attempt        integer     not null default 0,
    crashes        integer     not null default 0,
    suspect        boolean     not null default false,
    has_key        boolean     not null default false,
    why            text        not null,
    unknown_since  timestamptz,
    due_at         timestamptz,
    constraint delayed_why_is_known check (why in ('scheduled', 'retry', 'snooze', 'unknown_task'))
);
create index delayed_run_at_idx on pgq.delayed (run_at);
create unique index delayed_job_id_idx on pgq.delayed (job_id);
create index delayed_retry_idx on pgq.delayed (job_id) where why = 'retry';
comment on table pgq.delayed is 'Jobs that start later: scheduled, retrying, snoozed, or waiting for a worker that knows the task.';
comment on column pgq.delayed.due_at is 'As in ready; null: run_at.';

create table pgq.lease (
    job_id         bigint      not null primary key,
    worker         bigint      not null,
    executor       integer     not null,
    token          uuid        not null,
    waited         real        not null default 0,
    lane           bigint      not null,
    seq            bigint      not null default nextval('pgq.lease_seq'),
    attempt        integer     not null,
    crashes        integer     not null,
    suspect        boolean     not null,
    has_key        boolean     not null,
    first          boolean     not null,
    unknown_since  timestamptz,
    claimed_at     timestamptz not null default now(),
    started_at     timestamptz,
    expires_at     timestamptz,
    overdue_at     timestamptz
);
create index lease_seq_idx on pgq.lease (seq);
create index lease_token_idx on pgq.lease (token) where first;
create index lease_expires_at_idx on pgq.lease (expires_at) where expires_at is not null;
comment on table pgq.lease is 'Running jobs. Whoever writes about one names its token.';
comment on column pgq.lease.worker is '0: claimed by someone without a heartbeat.';
comment on column pgq.lease.waited is
    'Seconds from ready.due_at to the claim. Four bytes that stood empty before lane: it costs nothing.';
comment on column pgq.lease.attempt is 'Number of this attempt, the first is 1.';
comment on column pgq.lease.first is 'First row of its claim: where a repeated claim finds what it got.';
comment on column pgq.lease.expires_at is 'On the lease clock; null: as long as the worker''s heartbeat lives.';
comment on column pgq.lease.overdue_at is 'On the lease clock: when upkeep ends an attempt whose worker did not enforce the timeout.';

create table pgq.long_lease (
    job_id    bigint      not null,
    token     uuid        not null,
    worker    bigint      not null,
    check_at  timestamptz not null
);
create index long_lease_worker_idx on pgq.long_lease (worker, job_id);
create index long_lease_check_at_idx on pgq.long_lease (check_at);
comment on table pgq.long_lease is
    'Leases that are older than two heartbeats, entered once, so that nothing has to look for them among the short ones. A row whose lease has ended means nothing and is removed by pgq.reap.';
comment on column pgq.long_lease.check_at is 'On the lease clock: when to look at the lease again.';

create table pgq.cancel_request (
    job_id        bigint      not null,
    token         uuid        not null,
    requested_at  timestamptz not null default now()
);
create index cancel_request_job_id_idx on pgq.cancel_request (job_id);
comment on table pgq.cancel_request is 'Cancellations asked of running jobs.';

-- What happened ---------------------------------------------------------------------------------

create table pgq.finished (
    job_id       bigint      not null primary key,
    lane         bigint      not null,
    outcome      text        not null,
    token        uuid,
    attempt      integer     not null,
    worker       bigint,
    started_at   timestamptz,
    finished_at  timestamptz not null default now(),
    result       json,
    constraint finished_outcome_is_known check (outcome in ('succeeded', 'cancelled'))
) partition by range (job_id);
comment on table pgq.finished is 'Jobs that succeeded or were cancelled.';

create table pgq.dead (
    job_id       bigint      not null primary key,
    lane         bigint      not null,
    reason       text        not null,
    fingerprint  text        not null,
    error_class  text,
    message      text,
    attempt      integer     not null,
    crashes      integer     not null,
    worker       bigint,
    died_at      timestamptz not null default now(),
    has_key      boolean     not null,
    constraint dead_reason_is_known check (reason in ('error', 'timeout', 'crashed', 'unknown task'))
);
create index dead_died_at_idx on pgq.dead (died_at, job_id);
create index dead_fingerprint_idx on pgq.dead (fingerprint, job_id);
comment on table pgq.dead is 'Dead letters: jobs that will not be tried again unless somebody asks.';
comment on column pgq.dead.fingerprint is 'Same for errors that differ only in digits: what dead letters are grouped by.';

create table pgq.attempt (
    job_id       bigint      not null,
    attempt      integer     not null,
    token        uuid        not null,
    worker       bigint      not null,
    executor     integer     not null,
    claimed_at   timestamptz not null,
    started_at   timestamptz,
    ended_at     timestamptz not null default now(),
    reason       text        not null,
    charged      boolean     not null,
    error_class  text,
    message      text,
    traceback    text,
    constraint attempt_reason_is_known
        check (reason in ('error', 'timeout', 'lost', 'crashed', 'cancelled', 'released', 'unknown task'))
) partition by range (job_id);
create index attempt_job_id_idx on pgq.attempt (job_id, ended_at);
comment on table pgq.attempt is 'Attempts that did not end well.';
comment on column pgq.attempt.charged is 'It used up one of max_attempts, or, when crashed, one of max_crashes.';

create table pgq.log (
    job_id    bigint      not null,
    n         integer     not null,
    attempt   integer     not null,
    at        timestamptz not null default clock_timestamp(),
    level     text        not null,
    message   text        not null,
    progress  real,
    bytes     integer     not null,
    primary key (job_id, n),
    constraint log_level_is_known check (level in ('debug', 'info', 'warning', 'error', 'critical')),
    constraint log_progress_is_a_share check (progress between 0 and 1)
) partition by range (job_id);
comment on table pgq.log is 'Log lines and progress of jobs, numbered from 1 within a job.';
comment on column pgq.log.progress is '0 to 1; null for a plain line.';
comment on column pgq.log.bytes is 'Size of the job''s log up to this line.';

-- Operations on many jobs -----------------------------------------------------------------------

create table pgq.operation (
    id           bigint            not null generated always as identity primary key,
    verb         text              not null,
    filter       jsonb             not null,
    ids          bigint[],
    payload      json,
    most         bigint,
    rate         double precision,
    started_by   text,
    started_at   timestamptz       not null default now(),
    up_to        bigint            not null,
    expected     bigint,
    state        text              not null default 'running',
    walked_to    bigint            not null default 0,
    busy         bigint[]          not null default '{}',
    still_busy   bigint[]          not null default '{}',
    round        integer           not null default 0,
    round_at     timestamptz       not null default clock_timestamp(),
    credit       double precision  not null default 1,
    credit_at    timestamptz       not null default clock_timestamp(),
    found        bigint            not null default 0,
    done         bigint            not null default 0,
    skipped      bigint            not null default 0,
    finished_at  timestamptz,
    message      text,
    constraint operation_verb_is_known check (verb in ('cancel', 'retry', 'run_now', 'purge')),
    constraint operation_state_is_known check (state in ('running', 'done', 'stopped', 'failed')),
    constraint operation_ends_once check ((state = 'running') = (finished_at is null)),
    constraint operation_counts_each_job_once check (found >= done + skipped and done <= most)
) with (fillfactor = 50);
create index operation_running_idx on pgq.operation (id) where state = 'running';
comment on table pgq.operation is
    'A verb for many jobs, done a slice at a time by pgq.operate, in the order of their ids. A slice moves its jobs and walked_to in one transaction.';
comment on column pgq.operation.up_to is 'The newest id at the start: later jobs are no part of it.';
comment on column pgq.operation.expected is 'How many were to be found at the start; null: too many to count then.';
comment on column pgq.operation.busy is 'Passed because somebody else was moving them, and to be tried again in this round.';
comment on column pgq.operation.credit is 'Jobs that it may move at credit_at; grows by rate.';

-- Workers ---------------------------------------------------------------------------------------

create table pgq.worker (
    id            bigint      not null generated always as identity primary key,
    name          text        not null,
    queues        text[]      not null,
    slots         integer     not null,
    busy          integer     not null default 0,
    state         text        not null default 'available',
    info          json        not null default '{}',
    tasks         json        not null default '{}',
    started_at    timestamptz not null default now(),
    heartbeat_at  timestamptz not null default now(),
    expires_at    timestamptz not null,
    token         uuid,
    beat          bigint      not null default 0,
    constraint worker_state_is_known check (state in ('available', 'busy', 'draining', 'offline'))
) with (fillfactor = 50);
comment on table pgq.worker is 'Worker processes. The worker holds its leases, by its heartbeat.';
comment on column pgq.worker.tasks is
    'Names of the tasks that it knows, each with the JSON Schema of its payloads, or null.';
comment on column pgq.worker.expires_at is 'On the lease clock. Expiry is final: state offline.';
comment on column pgq.worker.token is
    'Of the process: a database that was restored gives ids out again, and one of two workers with the same id would give back what the other holds.';
comment on column pgq.worker.beat is 'Number of its last heartbeat.';

create table pgq.drain_request (
    worker        bigint      not null primary key,
    requested_at  timestamptz not null default now()
);
comment on table pgq.drain_request is
    'Workers that are to claim nothing more. Beside the worker''s row, for which its heartbeat would have to wait.';

create table pgq.waiter (
    worker      bigint      not null,
    executor    integer     not null,
    queue       text        not null,
    slots       integer     not null,
    entered_at  timestamptz not null default clock_timestamp()
);
create index waiter_entered_at_idx on pgq.waiter (entered_at);
comment on table pgq.waiter is 'Who waits for a wake-up; read by every path into pgq.ready.';
comment on column pgq.waiter.entered_at is 'Not looked at after 20 s: nobody reads the dead rows of those who waited before.';

create table pgq.lease_clock (
    id     bigint      not null generated always as identity primary key,
    at     timestamptz not null,
    clock  timestamptz not null
);
comment on table pgq.lease_clock is
    'The clock of leases: goes on with each round of upkeep by the time since the last one, at most 2 s or half a lease, so that an outage or a stepped clock expires nobody. Appended; the last row counts.';
insert into pgq.lease_clock (at, clock) values (clock_timestamp(), clock_timestamp());

-- Floors and cursors: appended, read from the right-hand end ------------------------------------

create table pgq.floor (
    lane   bigint      not null,
    floor  bigint      not null,
    at     timestamptz not null default clock_timestamp()
);
create index floor_lane_floor_idx on pgq.floor (lane, floor);
comment on table pgq.floor is 'No live row of the lane in pgq.ready has a lower seq than its highest floor.';

create table pgq.mark (
    id        bigint      not null generated always as identity primary key,
    stream    text        not null,
    mark      bigint      not null,
    settled   bigint      not null,
    holders   text[]      not null,
    noted_at  timestamptz not null default clock_timestamp(),
    constraint mark_stream_is_known check (stream in ('ready', 'lease'))
);
create index mark_stream_idx on pgq.mark (stream, id);
comment on table pgq.mark is
    'Values of a sequence, each with the virtual transactions that held the gate right after. The last of a stream is pending: once they have ended, no seq up to it can appear, but from stragglers.';
comment on column pgq.mark.settled is 'Up to here no seq could appear any more when the mark was noted.';

create table pgq.straggler (
    id        bigint not null generated always as identity primary key,
    stream    text   not null,
    holder    text,
    xid       xid,
    from_seq  bigint not null,
    to_seq    bigint,
    constraint straggler_is_a_session_or_prepared check ((holder is null) <> (xid is null)),
    constraint straggler_stream_is_known check (stream in ('ready', 'lease'))
);
comment on table pgq.straggler is
    'Transactions that hold a gate for long, which the mark does not wait for. When one has ended, the rows that it may have made are looked for in its range.';
comment on column pgq.straggler.xid is 'A prepared transaction, known by its id in pg_prepared_xacts.';
comment on column pgq.straggler.from_seq is 'Its rows have no lower seq; moves on while they are looked for.';
comment on column pgq.straggler.to_seq is 'Set when it has ended: its rows have no higher seq.';

create table pgq.passed (
    job_id  bigint not null,
    seq     bigint not null
);
comment on table pgq.passed is
    'Rows of ready that were locked when a floor passed them: gone means forget, lockable means a new seq.';

create table pgq.cursor (
    id      bigint      not null generated always as identity primary key,
    stream  text        not null,
    at      timestamptz not null default clock_timestamp(),
    value   bigint      not null
);
create index cursor_stream_idx on pgq.cursor (stream, id);
comment on table pgq.cursor is 'How far a sweep of upkeep has come; the last row of a stream counts.';

create table pgq.expired_day (
    day  integer not null
);
comment on table pgq.expired_day is
    'Days that have been kept for long enough. Entering one drops its partitions when the transaction commits, so that nobody waits for these locks longer than the commit takes; it stays while a job of the day lives on.';

-- Counts ----------------------------------------------------------------------------------------

create sequence pgq.tally_seq as bigint cache 1 no cycle;
create table pgq.tally (
    seq     bigint           not null default nextval('pgq.tally_seq'),
    queue   text             not null,
    metric  text             not null,
    label   text             not null default '',
    n       bigint           not null,
    spread  smallint[],
    sums    double precision[]
);
create index tally_seq_idx on pgq.tally (seq);
comment on table pgq.tally is 'What was counted, one row per statement and kind; pgq.fold adds it to pgq.counter.';
comment on column pgq.tally.spread is
    'How long each of the jobs took, two bytes for each: the numbers of its buckets of wait, run and total, five bits each, the lowest first; 31: not measured. pgq._apart takes them apart.';
comment on column pgq.tally.sums is 'Seconds of wait, run and total, all jobs together.';

create table pgq.counter (
    queue   text             not null,
    metric  text             not null,
    label   text             not null,
    bucket  real,
    n       bigint           not null,
    sum     double precision not null
) with (fillfactor = 50);
create index counter_idx on pgq.counter (queue, metric, label, bucket);
comment on table pgq.counter is
    'Counts since the schema was installed. A kind may stand in several rows: they add up.';
comment on column pgq.counter.bucket is
    'Of a histogram: its upper bound in seconds; the row without has the count and the sum of all.';

-- The service -----------------------------------------------------------------------------------

create table pgq.token (
    id            bigint      not null generated always as identity primary key,
    name          text        not null,
    hash          bytea       not null,
    scopes        text[]      not null,
    queues        text[],
    created_at    timestamptz not null default now(),
    expires_at    timestamptz,
    last_used_at  timestamptz,
    revoked_at    timestamptz,
    constraint token_hash_is_a_sha256 check (octet_length(hash) = 32),
    constraint token_scopes_are_known
        check (cardinality(scopes) >= 1
               and scopes <@ array['enqueue', 'work', 'view', 'operate', 'admin']),
    constraint token_queues_are_null_or_some check (cardinality(queues) >= 1)
);
create unique index token_hash_idx on pgq.token (hash);
comment on table pgq.token is
    'Who may call the service. The secrets are known to their holders alone: here stand their hashes.';
comment on column pgq.token.queues is 'What it is limited to; null: all.';

create table pgq.request (
    owner        text        not null,
    key          text        not null,
    fingerprint  bytea       not null,
    status       integer     not null,
    headers      json        not null,
    body         text,
    at           timestamptz not null default now(),
    primary key (owner, key)
);
create index request_at_idx on pgq.request (at);
comment on table pgq.request is
    'Requests that named an idempotency key, and what was answered: kept for a day, so that a repeat gets the same.';
comment on column pgq.request.fingerprint is 'Hash of the request: another one with the same key is refused.';

create table pgq.sample (
    at      timestamptz not null,
    metric  text        not null,
    label   text        not null,
    n       bigint      not null
);
create index sample_at_idx on pgq.sample (at);
comment on table pgq.sample is
    'Counters as they stood, summed over all queues, once a minute for two days: what charts over time are drawn from.';

-- Hot tables are vacuumed by the number of dead rows, not by their share, without pauses, and never
-- truncated at the end, which would take a lock that claims wait for.
do $$
declare
    v_table text;
begin
    foreach v_table in array array['ready', 'delayed', 'lease', 'long_lease', 'waiter', 'tally',
        'counter', 'floor', 'mark', 'cursor', 'lease_clock', 'worker', 'unique_key', 'passed',
        'request', 'sample']
    loop
        execute format(
            'alter table pgq.%I set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = %s, '
            'autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.5, vacuum_truncate = off)',
            v_table,
            case when v_table in ('ready', 'delayed', 'lease', 'tally', 'unique_key', 'request') then 10000 else 1000 end
        );
    end loop;
end
$$;
