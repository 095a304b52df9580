"""The work: who does upkeep, who runs jobs, and what does not get on."""

from __future__ import annotations

from pgq.doctor.check import Seen, amount, check, listed, several
from pgq.doctor.patient import Patient

WINDOW = 10
"""Minutes over which events are counted."""


@check(
    "When upkeep last moved the lease clock. Without upkeep no lease expires, nothing scheduled or "
    "retried starts, and nothing is cleaned up; workers do it about once a second.",
    measure="seconds",
    warning=30,
    critical=300,
    mend="pgq worker --app MODULE:NAME  # or call pgq.tick() from cron",
)
def upkeep(patient: Patient) -> Seen:
    age = patient.health["upkeep_seconds"] or 0.0
    return Seen(figure=age, evidence=f"{amount(age)} ago")


@check(
    "When the floors last moved. Claims start at the floor of their lane; one that stands still "
    "makes them walk over what was claimed since.",
    measure="seconds",
    warning=120,
    critical=1800,
    mend="select pgq.settle();  -- in READ COMMITTED; see old-transactions for what it waits for",
)
def floors(patient: Patient) -> Seen:
    health = patient.health
    age = health["floor_seconds"] or 0.0
    return Seen(
        figure=age,
        evidence=f"{amount(age)} ago; {health['stragglers']} long transactions are not waited for",
    )


@check(
    "What the audit had to mend: jobs in no table of states, in two, or below a floor. Somebody "
    "changes our tables by hand, or switches triggers off.",
    measure="jobs since the installation",
    warning=1,
    mend="look for what writes into schema pgq past its verbs (restore, replication, scripts)",
)
def repairs(patient: Patient) -> Seen:
    found = patient.health["repaired"]
    return Seen(figure=found, evidence=f"{found:,} jobs")


@check(
    "Queues with jobs that may start and no live worker that takes them.",
    measure="queues",
    critical=1,
    mend="pgq worker --app MODULE:NAME --queues {queue}",
)
def no_worker(patient: Patient) -> Seen:
    found = [
        row
        for row in patient.queues
        if row["ready"] and not row["workers"] and not row["paused_at"]
    ]
    told = [f"{row['queue']} ({row['ready']:,} ready)" for row in found]
    return several(told, "every queue with work has a worker", rows=found)


@check(
    "Tasks of waiting jobs that no live worker of their queue knows: a typing error, or a worker "
    "that was not deployed. After unknown_task_after such jobs are dead.",
    measure="tasks",
    warning=1,
    mend="deploy a worker whose app declares {task}, or pgq job list --task {task} and cancel",
)
def unknown_tasks(patient: Patient) -> Seen:
    found = patient.unknown_tasks
    told = [f"{row['task']} in {row['queue']} ({row['n']:,} jobs)" for row in found]
    return several(told, "workers know what waits", rows=found)


@check(
    "Paused queues with jobs that wait.",
    measure="queues",
    warning=1,
    mend="pgq queue resume {queue}",
)
def paused_queues(patient: Patient) -> Seen:
    found = [row for row in patient.queues if row["paused_at"] and row["ready"]]
    told = [
        f"{row['queue']} since {row['paused_at']:%Y-%m-%d %H:%M} ({row['ready']:,} ready)"
        for row in found
    ]
    return several(told, "none", rows=found)


@check(
    "How long the next job of a queue has been ready. Paused queues are left out.",
    measure="seconds",
    warning=300,
    critical=3600,
    mend="pgq explain ID; more of pgq worker --queues {queue}, or a higher --concurrency",
)
def waiting(patient: Patient) -> Seen:
    running = [row for row in patient.queues if not row["paused_at"] and row["oldest_seconds"]]
    worst = max(running, key=lambda row: row["oldest_seconds"], default=None)
    if worst is None:
        return Seen(figure=0, evidence="nothing waits")
    return Seen(
        figure=worst["oldest_seconds"],
        evidence=f"{amount(worst['oldest_seconds'])} in {worst['queue']}",
        names={"queue": worst["queue"]},
    )


@check(
    "Workers that are silent: alive by their lease, but not heard of for long.",
    measure="seconds",
    warning=30,
    critical=300,
    mend="look at worker {worker}'s log and machine; its jobs go to others when its lease ends",
)
def silent_workers(patient: Patient) -> Seen:
    alive = [row for row in patient.workers if row["state"] != "offline"]
    worst = max(alive, key=lambda row: row["silent_seconds"], default=None)
    if worst is None:
        return Seen(figure=0, evidence="no live worker")
    return Seen(
        figure=worst["silent_seconds"],
        evidence=f"{len(alive)} live; {worst['name']} was heard of "
        f"{amount(worst['silent_seconds'])} ago",
        names={"worker": worst["name"]},
    )


@check(
    "Operations that failed, or that run and do not get on.",
    measure="operations",
    warning=1,
    mend="pgq operation show {id}; pgq operation stop {id}",
)
def operations(patient: Patient) -> Seen:
    found = patient.still_operations
    told = [
        f"{row['id']} ({row['verb']}) {'failed' if row['state'] == 'failed' else 'stands still'}"
        f"{': ' if row['message'] else ''}{row['message'] or ''}"
        for row in found
    ]
    return several(told, "none stands still", rows=found)


@check(
    "Tokens that end within a week, or ended lately while they were in use: who has one is refused "
    "from then on. Not those that were made to live for less.",
    measure="tokens",
    warning=1,
    mend="pgq token create {name} … with the scopes that pgq token list shows, then "
    "pgq token revoke {id}",
)
def tokens(patient: Patient) -> Seen:
    found = patient.expiring_tokens
    told = [
        f"{row['name']} ends in {amount(row['seconds_left'])}"
        if row["seconds_left"] > 0
        else f"{row['name']} ended {amount(-row['seconds_left'])} ago"
        for row in found
    ]
    return several(told, "none ends soon", rows=found)


@check(
    f"Jobs that died in the last {WINDOW} minutes.",
    measure="jobs",
    warning=10,
    critical=1000,
    mend="pgq dead groups; pgq dead retry … once the cause is gone",
)
def dead_letters(patient: Patient) -> Seen:
    counted = patient.counted(WINDOW)
    by_reason = {label: n for (metric, label), n in counted.items() if metric == "dead" and n > 0}
    told = [f"{n:,.0f} by {label}" for label, n in sorted(by_reason.items())]
    return Seen(figure=sum(by_reason.values()), evidence=listed(told) if told else "none")


@check(
    "Leases that expired with their worker, a minute: workers that are killed, cut off or starved.",
    measure="jobs a minute",
    warning=1,
    critical=60,
    mend="pgq workers; look at the logs and the memory of those that went",
)
def lost_leases(patient: Patient) -> Seen:
    rate = patient.counted(WINDOW).get(("failed", "lost"), 0) / WINDOW
    return Seen(figure=rate, evidence=f"{rate:.2g} a minute in the last {WINDOW} minutes")


@check(
    f"Jobs whose process died under them in the last {WINDOW} minutes: they use too much memory or "
    "crash a library.",
    measure="jobs",
    warning=1,
    critical=100,
    mend="pgq dead groups  # those with the reason crashed; see their last log lines",
)
def crashes(patient: Patient) -> Seen:
    n = patient.counted(WINDOW).get(("failed", "crashed"), 0)
    return Seen(figure=n, evidence=f"{n:,.0f} jobs")
