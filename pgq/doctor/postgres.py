"""Postgres under the queue: its settings, its vacuum, and who stands in its way."""

from __future__ import annotations

from collections.abc import Callable

from pgq.doctor.check import Seen, amount, check, listed, several, size
from pgq.doctor.patient import Patient, Row

HOT = ("ready", "delayed", "lease", "tally", "counter", "waiter", "worker", "unique_key")
"""Tables whose rows come and go all the time."""
GROWTH_FROM = 64 * 1024 * 1024
"""Bytes of a day below which its growth is nobody's concern."""


@check(
    "The server's version; 14 is the oldest that the queue runs on.",
    measure="1 when it is older",
    critical=1,
    mend="upgrade Postgres to a supported version",
)
def server_version(patient: Patient) -> Seen:
    return Seen(
        figure=patient.server["number"] < 140000, evidence=f"Postgres {patient.server['version']}"
    )


@check(
    "The database's encoding: payloads are UTF-8.",
    measure="1 when it is another",
    critical=1,
    mend="create another database with encoding 'UTF8' and migrate there",
)
def encoding(patient: Patient) -> Seen:
    found = patient.server["encoding"]
    return Seen(figure=found != "UTF8", evidence=str(found))


@check(
    "fsync and full_page_writes: without them a crash of the server can destroy the database.",
    measure="settings that are off",
    critical=1,
    mend="alter system set {setting} = on; select pg_reload_conf();",
)
def durability(patient: Patient) -> Seen:
    return _off(patient, "fsync", "full_page_writes")


@check(
    "synchronous_commit: without it a crash of the server loses jobs that were acknowledged.",
    measure="1 when it is off",
    warning=1,
    mend="alter system reset synchronous_commit; select pg_reload_conf();",
)
def synchronous_commit(patient: Patient) -> Seen:
    return _off(patient, "synchronous_commit")


@check(
    "default_transaction_isolation: floors move in READ COMMITTED only.",
    measure="1 when it is another",
    critical=1,
    mend="alter role {role} set default_transaction_isolation = 'read committed';",
)
def isolation(patient: Patient) -> Seen:
    found = patient.server_settings["default_transaction_isolation"]
    return Seen(
        figure=found != "read committed", evidence=found, names={"role": patient.server["role"]}
    )


@check(
    "wal_level: with minimal there can be no standby and no base backup.",
    measure="1 when it is minimal",
    warning=1,
    mend="alter system set wal_level = replica;  -- then restart the server",
)
def wal_level(patient: Patient) -> Seen:
    found = patient.server_settings["wal_level"]
    return Seen(figure=found == "minimal", evidence=found)


@check(
    "autovacuum and track_counts of the server: without them dead rows are never removed.",
    measure="settings that are off",
    critical=1,
    mend="alter system set {setting} = on; select pg_reload_conf();",
)
def autovacuum(patient: Patient) -> Seen:
    return _off(patient, "autovacuum", "track_counts")


@check(
    "Autovacuum settings of our tables: the hot ones are vacuumed by the number of their dead "
    "rows, and none may be left out.",
    measure="tables",
    warning=1,
    mend="alter table pgq.{table} set (autovacuum_enabled = on, "
    "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, "
    "autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);",
)
def autovacuum_tables(patient: Patient) -> Seen:
    found = [row["name"] for row in patient.relations if not _is_vacuumed(row)]
    return several(
        found,
        "as the schema sets them",
        form="not as they should be: {}",
        rows=[{"table": name} for name in found],
    )


@check(
    "Dead rows in our tables that vacuum has not removed.",
    measure="dead rows in one table",
    warning=1_000_000,
    critical=20_000_000,
    mend="vacuum pgq.{table};  -- does nothing while an old transaction or slot holds it back",
)
def dead_rows(patient: Patient) -> Seen:
    worst = max(patient.tables, key=lambda row: row["dead_rows"])
    return Seen(
        figure=worst["dead_rows"],
        evidence=f"at most {worst['dead_rows']:,}, in {worst['relation']}",
        names={"table": worst["relation"]},
    )


@check(
    "Age of the database in transactions: at two thousand million Postgres takes no more writes.",
    measure="transactions",
    warning=1_000_000_000,
    critical=1_800_000_000,
    mend="vacuum (freeze);  -- after ending whatever holds it back",
)
def wraparound(patient: Patient) -> Seen:
    age = patient.server["xid_age"]
    return Seen(figure=age, evidence=f"{age:,} transactions")


@check(
    "Transactions of this database that last long: vacuum removes no row that died after they "
    "began. The statement is shown without its literals, to those who may see it.",
    measure="seconds",
    warning=300,
    critical=3600,
    mend="select pg_terminate_backend({pid});",
)
def old_transactions(patient: Patient) -> Seen:
    found, health = patient.transactions, patient.health
    seconds = found[0]["seconds"] if found else 0.0
    if health["oldest_pid"] and health["oldest_seconds"] > seconds + 5:
        # The owner of the schema sees more than this role does.
        fields = ("pid", "user", "application", "state", "seconds")
        hidden = {name: health[f"oldest_{name}"] for name in fields}
        found = [{**hidden, "query": ""}, *found]
    told = [
        f"pid {row['pid']} of {row['user']} ({row['application'] or 'unnamed'}), {row['state']}, "
        f"for {amount(row['seconds'])}{': ' if row['query'] else ''}{row['query']}"
        for row in found[:3]
    ]
    return Seen(
        figure=found[0]["seconds"] if found else 0.0,
        evidence="; ".join(told) if told else "none",
        names=found[0] if found else {},
    )


@check(
    "Transactions that were prepared and neither committed nor rolled back: they hold their locks "
    "and vacuum back, over restarts as well.",
    measure="seconds",
    warning=300,
    critical=3600,
    mend="rollback prepared '{gid}';  -- or commit prepared, as its coordinator says",
)
def prepared_transactions(patient: Patient) -> Seen:
    found = patient.prepared
    told = [f"{row['gid']} of {row['user']} for {amount(row['seconds'])}" for row in found]
    most = patient.server_settings["max_prepared_transactions"]
    return Seen(
        figure=found[0]["seconds"] if found else 0,
        evidence=listed(told) if told else f"none (max_prepared_transactions is {most})",
        names=found[0] if found else {},
    )


@check(
    "Replication slots that hold back vacuum.",
    measure="transactions",
    warning=1_000_000,
    critical=100_000_000,
    mend="select pg_drop_replication_slot('{slot}');  -- when its consumer is gone for good",
)
def slots_and_vacuum(patient: Patient) -> Seen:
    return _worst_slot(patient, "xids", lambda xids: f"holds {xids:,} transactions")


@check(
    "Write-ahead log that replication slots keep on the disk.",
    measure="bytes",
    warning=10 * 1024**3,
    critical=100 * 1024**3,
    mend="select pg_drop_replication_slot('{slot}');  -- when its consumer is gone for good",
)
def slots_and_disk(patient: Patient) -> Seen:
    return _worst_slot(patient, "wal_bytes", lambda kept: f"keeps {size(kept)}")


@check(
    "How full the server's queue of notifications is: when it is full, transactions that wake a "
    "worker fail. A session that listens and stays in a transaction fills it.",
    measure="share of 1",
    warning=0.1,
    critical=0.5,
    mend="select pg_terminate_backend({pid});  -- the oldest transaction, if that session listens",
)
def notifications(patient: Patient) -> Seen:
    used = float(patient.health["notification_queue"])
    return Seen(
        figure=used,
        evidence=f"{100 * used:.3g} % full",
        names={"pid": patient.health["oldest_pid"]},
    )


@check(
    "Sessions of the server against max_connections.",
    measure="share of 1",
    warning=0.8,
    critical=0.95,
    mend="put a pooler in between, or alter system set max_connections = {more}; and restart",
)
def connections(patient: Patient) -> Seen:
    used, most = patient.health["connections"], patient.health["max_connections"]
    return Seen(figure=used / most, evidence=f"{used} of {most}", names={"more": most * 2})


@check(
    "Size of yesterday's partitions against the days before.",
    measure="times as much",
    warning=3,
    critical=10,
    mend="pgq queue list  # then pgq queue set NAME --keep-finished 1d for the one that grew",
)
def disk_growth(patient: Patient) -> Seen:
    today = patient.health["database_now"].date()
    past = [row["size_bytes"] for row in patient.days if row["day"] < today]
    total = size(sum(row["size_bytes"] for row in patient.days))
    if len(past) < 2:
        return Seen(figure=0, evidence=f"{total} in all; too few days to compare")
    *before, last = past
    usual = sum(before[-7:]) / len(before[-7:])
    grew = last / usual if last >= GROWTH_FROM and usual else 0.0
    return Seen(
        figure=grew,
        evidence=f"{size(last)} yesterday, {size(usual)} a day before; {total} in all",
    )


def _worst_slot(patient: Patient, fact: str, told: Callable[[float], str]) -> Seen:
    worst = max(patient.slots, key=lambda row: row[fact] or 0, default=None)
    if worst is None:
        return Seen(figure=0, evidence="no slots")
    state = "active" if worst["active"] else "nobody uses it"
    held = worst[fact] or 0
    return Seen(
        figure=held,
        evidence=f"{worst['name']} ({state}) {told(held)}",
        names={"slot": worst["name"]},
    )


def _is_vacuumed(table: Row) -> bool:
    options = dict(option.split("=", 1) for option in table["options"])
    if options.get("autovacuum_enabled", "on").lower() in ("false", "off", "0", "no"):
        return False
    return table["name"] not in HOT or options.get("autovacuum_vacuum_scale_factor") == "0"


def _off(patient: Patient, *names: str) -> Seen:
    off = [name for name in names if patient.server_settings[name] == "off"]
    return several(
        off,
        f"{' and '.join(names)}: on",
        form="off: {}",
        rows=[{"setting": name} for name in off],
    )
