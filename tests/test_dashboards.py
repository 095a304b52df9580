"""Dashboards, checked against Grafana's model of them: there is no Grafana server here."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from grafana_foundation_sdk.cog import encoder, plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import FILES, FOLDER, Json, filled, load, metrics, panels, targets
from pgq_worker import metrics as worker

OF_A_WORKER = {worker.PREFIX + name: family for name, family in worker.FAMILIES.items()}
UNITS = {"short", "s", "ops", "percentunit", "bytes"}

plugins.register_default_plugins()
each_dashboard = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])


def unknown(given: Any, understood: Any, where: str = "") -> Iterator[str]:
    """What Grafana's model did not keep."""
    if isinstance(given, dict) and isinstance(understood, dict):
        for key, value in given.items():
            if key not in understood:
                yield f"{where}.{key}"
            else:
                yield from unknown(value, understood[key], f"{where}.{key}")
    elif isinstance(given, list) and isinstance(understood, list):
        if len(given) != len(understood):
            yield where
        for n, pair in enumerate(zip(given, understood, strict=False)):
            yield from unknown(*pair, f"{where}[{n}]")
    elif given != understood:
        yield where


def understood(dashboard: Json) -> Any:
    model = Dashboard.from_json(copy.deepcopy(dashboard))
    return json.loads(encoder.JSONEncoder().encode(model))


def overlaps(dashboard: Json) -> list[tuple[str, str]]:
    """Panels that lie on each other, or reach over the edge."""
    taken: dict[tuple[int, int], str] = {}
    found = []
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if x >= 24 or (x, y) in taken:
                    found.append((panel["title"], taken.get((x, y), "the edge")))
                taken[x, y] = panel["title"]
    return found


def test_there_is_a_dashboard_for_each_question() -> None:
    assert {path.stem for path in FILES} == {
        "overview",
        "queue",
        "workers",
        "postgres",
        "overview-sql",
    }


@each_dashboard
def test_model_of_grafana_knows_every_key(path: Path) -> None:
    dashboard = load(path)
    assert list(unknown(dashboard, understood(dashboard))) == []


@each_dashboard
def test_key_that_is_misspelt_is_found(path: Path) -> None:
    dashboard = load(path)
    panel = next(panels(dashboard))
    panel["fieldConfig"]["defaults"]["unitt"] = panel["fieldConfig"]["defaults"].pop("unit")
    panel["gridPosition"] = panel["gridPos"]
    found = list(unknown(dashboard, understood(dashboard)))
    assert any(where.endswith(".unitt") for where in found)
    assert any(where.endswith(".gridPosition") for where in found)


@each_dashboard
def test_panels_lie_beside_each_other(path: Path) -> None:
    dashboard = load(path)
    assert overlaps(dashboard) == []
    dashboard["panels"][2]["gridPos"]["x"] -= 1
    assert overlaps(dashboard)


@each_dashboard
def test_panels_have_ids_titles_and_units(path: Path) -> None:
    dashboard = load(path)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels(dashboard):
        assert re.search(r"\w", panel["title"])
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@each_dashboard
def test_data_source_is_that_of_the_variable(path: Path) -> None:
    dashboard = load(path)
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    kind = variables["datasource"]["query"]
    wanted = {"type": kind, "uid": "${datasource}"}
    asking = [*panels(dashboard), *(t for panel in panels(dashboard) for t in panel["targets"])]
    assert all(each["datasource"] == wanted for each in asking)
    assert kind in {each["type"] for each in sources()}


def sources() -> list[Json]:
    found: list[Json] = yaml.safe_load(
        (FOLDER / "provisioning" / "datasources" / "pgq.yml").read_text()
    )["datasources"]
    return found


def test_dashboards_have_names_of_their_own() -> None:
    for key in ("uid", "title"):
        found = [load(path)[key] for path in FILES]
        assert len(found) == len(set(found))


def test_no_secret_is_provisioned() -> None:
    for source in sources():
        for value in source.get("secureJsonData", {}).values():
            assert re.fullmatch(r"\$\{\w+\}", value)


def test_panels_ask_only_for_metrics_that_there_are(conn: psycopg.Connection[Any]) -> None:
    rows = conn.execute("select metric, type from pgq.list_metrics()").fetchall()
    known = {
        name
        for metric, kind in rows
        for name in ([f"{metric}_bucket"] if kind == "histogram" else [metric])
    }
    asked = {name for _, expression in targets("expr") for name in metrics(expression)}
    known |= {
        metric + suffix
        for metric, (kind, _, _) in OF_A_WORKER.items()
        for suffix in (("_bucket", "_count", "_sum") if kind == "histogram" else ("",))
    }
    assert asked <= known


def test_promtool_takes_every_expression(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    rules = tmp_path / "expressions.yml"
    rules.write_text(
        json.dumps(
            {
                "groups": [
                    {
                        "name": "panels",
                        "rules": [
                            {"record": f"panel:{n}", "expr": filled(expression)}
                            for n, (_, expression) in enumerate(targets("expr"))
                        ],
                    }
                ]
            }
        )
    )
    done = subprocess.run(
        [promtool, "check", "rules", str(rules)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


SQL = targets("rawSql")


@pytest.mark.parametrize("where", SQL, ids=[place for place, _ in SQL])
def test_every_sql_panel_runs_for_a_viewer(
    conn: psycopg.Connection[Any], where: tuple[str, str]
) -> None:
    for _ in range(3):
        conn.execute("insert into pgq.job (task) values ('send')")
    conn.execute(
        "select pgq.complete(id, token) from pgq.claim(0, 0, gen_random_uuid(), '{default}', '{1}')"
    )
    conn.execute(
        "select pgq.fail(id, token, p_retry_in => '0') from"
        " pgq.claim(0, 0, gen_random_uuid(), '{default}', '{1}')"
    )
    conn.execute(
        "select pgq.fail(id, token, p_permanent => true) from"
        " pgq.claim(0, 0, gen_random_uuid(), '{default}', '{1}')"
    )
    conn.execute("select pgq.sample()")
    conn.execute("update pgq.sample set at = at - interval '5 minutes'")
    conn.execute("select pgq.sample()")
    conn.execute("set role pgq_viewer")
    place, query = where
    query = query.replace("$__timeFrom()", "'2000-01-01T00:00:00Z'")
    assert "$" not in query
    cursor = conn.execute(query.encode())
    assert cursor.description
    assert cursor.fetchall(), place
