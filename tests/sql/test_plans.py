"""Plans of hot statements at 200,000 rows and 40 days: never a scan of a whole table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import servers
from sql.support import (
    Conn,
    answer,
    call,
    claim,
    column,
    connect,
    hold_all,
    prolong,
    register,
    settle,
    value,
)

pytestmark = pytest.mark.xdist_group("plans")

ROWS = 200_000
DEAD = 20_000
QUEUES = [f"q{i}" for i in range(10)]

# What grows with the backlog or with history.
LARGE = {"job", "ready", "delayed", "lease", "finished", "dead", "tally", "unique_key"}


@pytest.fixture(scope="module", params=["analysed", "never analysed"])
def full(server: str, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of 200,000 ready, delayed and running jobs, as many tallies, and 40 days."""
    name = f"{template}_{request.param.replace(' ', '_')}"
    with servers.database(server, name, template=template) as dsn, connect(dsn) as conn:
        conn.execute("set statement_timeout = '5min'")
        call(conn, "partition", days=39)
        for table in column(
            conn,
            "select oid::regclass::text from pg_class"
            " where relnamespace = 'pgq'::regnamespace and relkind = 'r'",
        ):
            conn.execute(f"alter table {table} set (autovacuum_enabled = off)")
        for count, run_at in ((2 * ROWS + 50_000, None), (ROWS + DEAD, "2999-01-01")):
            conn.execute(
                "insert into pgq.job (task, queue, priority, run_at, unique_key) select"
                " 'echo', 'q' || i %% 10, i %% 3, %s::timestamptz,"
                " case when i %% 100 = 0 then i || coalesce(%s, '') end"
                " from generate_series(1, %s) i",
                [run_at, run_at, count],
            )
        for _ in range((ROWS + 50_000) // 10_000):
            leases = claim(conn, queues=QUEUES, limits=1_000, lease="10 days")
            if value(conn, "select count(*) < 50000 from pgq.finished"):
                call(conn, "complete_many", **hold_all(*leases))
        conn.execute(
            "with ended as (delete from pgq.delayed where job_id in"
            " (select job_id from pgq.delayed order by job_id limit %s) returning *)"
            " insert into pgq.dead (job_id, lane, reason, fingerprint, attempt, crashes, has_key)"
            " select job_id, lane, 'error', job_id %% 50, 1, 0, false from ended",
            [DEAD],
        )
        conn.execute(
            "insert into pgq.tally (queue, metric, label, n)"
            " select 'q1', 'transition', '>ready', 0 from generate_series(1, %s)",
            [ROWS],
        )
        if request.param == "analysed":
            conn.execute("analyze")
        yield dsn


Plan = dict[str, Any]


def nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def parent(table: str) -> str:
    """The table that a day's partition is part of."""
    return table.split("_2")[0]


class Plans:
    """Collects the plans of all statements that ran within functions."""

    def __init__(self, dsn: str) -> None:
        self.conn = connect(dsn)
        try:
            self.conn.execute("load 'auto_explain'")
        except psycopg.Error:
            pytest.skip("this server has no auto_explain, or keeps it to its superuser")
        for setting, on in {
            "log_min_duration": "0",
            "log_nested_statements": "on",
            "log_analyze": "on",
            "log_timing": "off",
            "log_format": "json",
            "log_level": "notice",
        }.items():
            self.conn.execute(f"set auto_explain.{setting} = {on}")
        self.seen: list[Plan] = []
        self.conn.add_notice_handler(self._keep)

    def _keep(self, notice: psycopg.errors.Diagnostic) -> None:
        text = notice.message_primary or ""
        if "plan:" in text:
            self.seen.append(json.loads(text.split("plan:", 1)[1]))

    def scans(self) -> list[str]:
        """Tables that were read whole, and index scans that threw most of what they read away."""
        found = []
        for plan in self.seen:
            for node in nodes(plan["Plan"]):
                if not node.get("Actual Loops") or "Relation Name" not in node:
                    continue
                table = parent(node["Relation Name"])
                wasted = node.get("Rows Removed by Filter", 0) * node["Actual Loops"]
                if (node["Node Type"] == "Seq Scan" and table in LARGE) or wasted > 5_000:
                    query = " ".join(plan["Query Text"].split())[:150]
                    found.append(f"{node['Node Type']} on {table}, {wasted} in vain: {query}")
        return found

    def read(self, table: str) -> list[str]:
        """How a table, or its days, were read."""
        return [
            node["Node Type"]
            for plan in self.seen
            for node in nodes(plan["Plan"])
            if parent(node.get("Relation Name", "")) == table
            and "Scan" in node["Node Type"]
            and node.get("Actual Loops")
        ]


@pytest.fixture
def plans(full: str) -> Iterator[Plans]:
    collected = Plans(full)
    with collected.conn:
        yield collected


def do_claim(conn: Conn) -> None:
    for _ in range(8):
        claim(conn, queues=QUEUES, limits=100)


def do_claim_one(conn: Conn) -> None:
    for _ in range(8):
        claim(conn, queues=["q3"], limits=1)


def do_insert(conn: Conn) -> None:
    conn.execute("insert into pgq.job (task, unique_key) values ('echo', 'new') returning id")
    conn.execute("insert into pgq.job (task, unique_key) values ('echo', 'new')")


def do_complete_many(conn: Conn) -> None:
    for _ in range(8):
        leases = claim(conn, queues=QUEUES, limits=20)
        call(conn, "complete_many", **hold_all(*leases))


def do_fail_many(conn: Conn) -> None:
    call(conn, "fail_many", **hold_all(*claim(conn, queues=QUEUES, limits=5)))


def do_release(conn: Conn) -> None:
    call(conn, "release", **hold_all(*claim(conn, queues=QUEUES, limits=5)))


def do_start(conn: Conn) -> None:
    leases = claim(conn, queues=QUEUES, limits=5)
    call(conn, "start", **hold_all(*leases), ran_seconds=[1.0] * len(leases))


def do_log_many(conn: Conn) -> None:
    leases = claim(conn, queues=QUEUES, limits=5)
    call(conn, "log_many", **hold_all(*leases), messages=["line"] * len(leases))


def do_heartbeat(conn: Conn) -> None:
    worker = register(conn, *QUEUES)
    leases = claim(conn, worker=worker, queues=QUEUES, limits=200)
    prolong(conn)
    call(conn, "heartbeat", worker=worker, **hold_all(*leases))
    call(conn, "heartbeat", worker=worker, **hold_all(*leases[:100]))


def do_watch(conn: Conn) -> None:
    ids = column(conn, "select id from pgq.job order by id % 1009 limit 1000")
    call(conn, "watch", ids=[*ids, *range(100)], queues=QUEUES)


def do_tail_logs(conn: Conn) -> None:
    leases = claim(conn, queues=QUEUES, limits=20)
    for _ in range(20):
        call(conn, "log_many", **hold_all(*leases), messages=["line"] * len(leases))
    ids = [each["id"] for each in leases]
    call(conn, "tail_logs", ids=ids, afters=[10] * len(ids))


def do_waiting_since(conn: Conn) -> None:
    claim(conn, queues=QUEUES, limits=10)
    conn.execute("select * from pgq._waiting_since(null)")


def do_promote(conn: Conn) -> None:
    conn.execute(
        "update pgq.delayed set run_at = clock_timestamp() where job_id in"
        " (select job_id from pgq.delayed order by run_at limit 100)"
    )
    call(conn, "promote", limit=50)
    call(conn, "promote", limit=50)


def do_fold(conn: Conn) -> None:
    for _ in range(3):
        call(conn, "fold", limit=1_000)


def do_settle(conn: Conn) -> None:
    settle(conn)
    claim(conn, queues=QUEUES, limits=20)
    settle(conn)


def do_reap(conn: Conn) -> None:
    claim(conn, queues=QUEUES, limits=20)
    prolong(conn)


def do_audit(conn: Conn) -> None:
    # Comparing the counters reads the tables, now and then and while they are small.
    conn.execute("insert into pgq.cursor (stream, value) values ('audit_counters', 0)")
    for _ in range(2):
        call(conn, "audit_state", limit=500)


def do_prune(conn: Conn) -> None:
    answer(conn, "prune")


def do_list_jobs(conn: Conn) -> None:
    for state in (None, "scheduled", "ready", "running", "retrying", "succeeded"):
        call(conn, "list_jobs", state=state)
        call(conn, "list_jobs", state=state, queues=["q1", "q3"], after=0)
        call(conn, "list_jobs", state=state, tag="none", rows=1_000)
    call(conn, "list_jobs", worker=-1, rows=1_000)
    for verb in ("cancel", "retry"):
        call(conn, "count_jobs", verb=verb, task="none", rows=1_000)


def do_count_jobs(conn: Conn) -> None:
    for verb in ("cancel", "retry", "run_now", "purge"):
        call(conn, "count_jobs", verb=verb, cap=1_000, rows=2_000)
    call(conn, "count_jobs", cap=1_000)


def do_list_dead(conn: Conn) -> None:
    for queues in (None, ["q1", "q3"]):
        call(conn, "list_dead", queues=queues)
        call(conn, "list_dead", queues=queues, task="none")
        call(conn, "list_dead_groups", queues=queues)


def do_list_events(conn: Conn) -> None:
    for table in ("ready", "delayed", "lease", "finished", "dead"):
        for job in column(conn, f"select job_id from pgq.{table} limit 2"):
            call(conn, "list_events", id=job)
            answer(conn, "duplicate", id=job)


def do_operate(conn: Conn) -> None:
    for verb, state in (
        ("cancel", "ready"),
        ("cancel", "scheduled"),
        ("cancel", "running"),
        ("run_now", "scheduled"),
        ("retry", "cancelled"),
        ("retry", "dead"),
        ("purge", "dead"),
    ):
        payload = '{"a": 1}' if verb == "retry" else None
        call(conn, "start_operation", verb=verb, state=state, limit=50, payload=payload)
    while value(conn, "select count(*) from pgq.operation where state = 'running'"):
        answer(conn, "operate", limit=100)
    assert value(conn, "select array_agg(distinct done) from pgq.operation") == [50]


def do_search_payloads(conn: Conn) -> None:
    for state in (None, "ready", "scheduled"):
        call(conn, "list_jobs", state=state, path=["a"], value="1", rows=1_000)


HOT: list[tuple[Callable[[Conn], None], set[str]]] = [
    (do_insert, set()),
    (do_claim, {"ready", "job", "lease"}),
    (do_claim_one, {"ready", "job", "lease"}),
    (do_complete_many, {"lease"}),
    (do_fail_many, {"lease", "job"}),
    (do_release, {"lease"}),
    (do_start, {"lease", "job"}),
    (do_log_many, {"lease"}),
    (do_heartbeat, {"lease", "long_lease"}),
    (do_watch, {"ready", "delayed", "lease", "finished"}),
    (do_tail_logs, {"log"}),
    (do_waiting_since, {"ready", "job"}),
    (do_promote, {"delayed"}),
    (do_fold, {"tally"}),
    (do_settle, {"ready"}),
    (do_reap, {"lease"}),
    (do_audit, {"job", "ready"}),
    (do_prune, set()),
    (do_list_jobs, {"job", "ready", "delayed", "lease", "finished"}),
    (do_count_jobs, {"job", "ready", "delayed", "finished"}),
    (do_operate, {"job", "ready", "delayed", "lease", "finished", "dead"}),
    (do_list_dead, {"dead", "job"}),
    (do_list_events, {"job", "attempt"}),
    (do_search_payloads, {"job", "ready", "delayed"}),
]


@pytest.mark.parametrize(
    ("work", "tables"), HOT, ids=[work.__name__.removeprefix("do_") for work, _ in HOT]
)
def test_no_table_is_read_whole(
    plans: Plans, work: Callable[[Conn], None], tables: set[str]
) -> None:
    conn = plans.conn
    conn.execute("set auto_explain.log_min_duration = 0")
    work(conn)
    assert plans.seen
    # The tests' own statements.
    own = ("set run_at", "% 1009", "limit 2")
    plans.seen = [each for each in plans.seen if all(s not in each["Query Text"] for s in own)]
    assert plans.scans() == []
    for table in tables:
        assert plans.read(table), f"{table} was not read at all"


def test_claim_opens_no_day_but_those_of_its_jobs(plans: Plans) -> None:
    claim(plans.conn, queues=QUEUES, limits=10)
    opened = {
        node["Relation Name"]
        for plan in plans.seen
        for node in nodes(plan["Plan"])
        if node.get("Relation Name", "").startswith("job_2") and node.get("Actual Loops")
    }
    assert len(opened) == 1


def test_there_are_40_days(full: str) -> None:
    with connect(full) as conn:
        assert (
            value(conn, "select count(*) from pg_inherits where inhparent = 'pgq.job'::regclass")
            == 40
        )
