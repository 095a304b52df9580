"""Each alert, on what a real queue tells before and after something went wrong in it.

Hours are not waited for: promtool replays the metrics as if they had stood, and the counters had
grown, like that for as long as the rule wants.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser

from doctor.conftest import make_well
from mishaps import MISHAPS, Mishap, Place
from sql.support import Conn, answer, call, claim, insert, value
from test_alerts import ALERTS, NAMES, ROOT, RULES

Samples = Mapping[str, tuple[str, float]]
"""Type and value of each series."""

NOT_FROM_THE_QUEUE = {"PgqScrapeFailing", "PgqClockSkew"}
"""Of which it is Prometheus that knows."""
BEFORE, AFTER, DAY = 20, 70, 1440
"""Minutes; one rule compares with the day before."""
ASKED_FOR = {
    name for path in RULES for name in re.findall(r"(?<![:\w])pgq_\w+(?![:\w])", path.read_text())
}
LABELS = 'job="pgq",instance="one:8080"'


@pytest.fixture
def place(conn: Conn, dsn: str) -> Iterator[Place]:
    """A queue in order, on which something has happened."""
    make_well(conn)
    for _ in range(3):
        insert(conn)
        (lease,) = claim(conn, limits=1)
        call(conn, "complete", id=lease["id"], token=lease["token"])
    with ExitStack() as stack:
        yield Place(conn, dsn, stack)


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed")
    return found


def scrape(conn: Conn) -> Samples:
    """What the service says, of that which rules ask for, but for histograms."""
    families = parser.text_string_to_metric_families(value(conn, "select pgq.openmetrics()"))
    found: dict[str, tuple[str, float]] = {}
    for family in families:
        for sample in family.samples:
            if sample.name in ASKED_FOR:
                labels = [f"{name}={json.dumps(text)}" for name, text in sample.labels.items()]
                series = f"{sample.name}{{{','.join([*labels, LABELS])}}}"
                found[series] = (family.type, float(sample.value))
    return found


def replayed(
    before: Samples, after: Samples, *, up: int = 1, skew: float = 0, first: int = BEFORE
) -> list[object]:
    """Series for promtool: `before` for so many minutes, then `after`; counters go on growing."""
    told = [{"series": f"up{{{LABELS}}}", "values": f"{up}x{first + AFTER}"}]
    for series, (kind, last) in after.items():
        was = before.get(series, (kind, 0.0))[1]
        if series.startswith("pgq_database_time_seconds"):
            values = f"{skew}+60x{first + AFTER}"
        elif kind == "counter":
            values = f"{was}x{first} {was}+{last - was}x{AFTER}"
        else:
            values = f"{was}x{first} {last}x{AFTER}"
        told.append({"series": series, "values": values})
    return list(told)


def firing(
    promtool: str,
    folder: Path,
    series: list[object],
    limits: Mapping[str, str],
    *,
    first: int = BEFORE,
) -> set[str]:
    """Names of the alerts that fire at the end."""
    shutil.copytree(ROOT / "prometheus", folder, dirs_exist_ok=True)
    rules = folder / "alerts.rules.yml"
    text = rules.read_text()
    for old, new in limits.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    rules.write_text(text)
    test = {
        "rule_files": ["recording.rules.yml", "alerts.rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": f"{first + AFTER}m",
                        "exp_samples": [{"labels": '{alertname="nothing"}', "value": 1}],
                    }
                ],
            }
        ],
    }
    (folder / "replay.test.yml").write_text(json.dumps(test))
    done = subprocess.run(
        [promtool, "test", "rules", "replay.test.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "alertname" in said, said
    return set(re.findall(r'alertname="(\w+)"', said.partition("got:")[2])) - {"nothing"}


def test_every_alert_has_a_mishap() -> None:
    assert {each.alert for each in MISHAPS} | NOT_FROM_THE_QUEUE == set(NAMES)


@pytest.mark.parametrize("mishap", MISHAPS, ids=[each.alert for each in MISHAPS])
def test_alert_fires_when_it_happens(
    place: Place, mishap: Mishap, promtool: str, tmp_path: Path
) -> None:
    before = scrape(place.conn)
    mishap.make(place)
    after = scrape(place.conn)
    (rule,) = (alert["expr"] for alert in ALERTS if alert["alert"] == mishap.alert)
    first = DAY if "offset 1d" in rule else BEFORE
    series = replayed(before, after, first=first)
    assert mishap.alert in firing(promtool, tmp_path, series, mishap.limits, first=first)


def test_no_alert_fires_where_all_is_in_order(place: Place, promtool: str, tmp_path: Path) -> None:
    before = scrape(place.conn)
    insert(place.conn)
    (lease,) = claim(place.conn, limits=1)
    call(place.conn, "complete", id=lease["id"], token=lease["token"])
    answer(place.conn, "reap")
    assert firing(promtool, tmp_path, replayed(before, scrape(place.conn)), {}) == set()


def test_lowered_limits_are_silent_where_all_is_in_order(
    place: Place, promtool: str, tmp_path: Path
) -> None:
    limits = {
        old: new for each in MISHAPS for old, new in each.limits.items() if "queue_ratio" not in old
    }
    seen = scrape(place.conn)
    assert firing(promtool, tmp_path, replayed(seen, seen), limits) == set()


def test_server_that_does_not_answer_is_told(place: Place, promtool: str, tmp_path: Path) -> None:
    seen = scrape(place.conn)
    assert "PgqScrapeFailing" in firing(promtool, tmp_path, replayed(seen, seen, up=0), {})


def test_clock_that_is_off_is_told(place: Place, promtool: str, tmp_path: Path) -> None:
    seen = scrape(place.conn)
    told = value(place.conn, "select extract(epoch from clock_timestamp())::float8")
    series = "pgq_database_time_seconds{" + LABELS + "}"
    assert abs(seen[series][1] - told) < 60
    assert abs(told - time.time()) < 60
    skewed = replayed(seen, seen, skew=-10)
    assert firing(promtool, tmp_path, skewed, {}) == {"PgqClockSkew"}
