from __future__ import annotations

import re

from sql.support import Conn, call


def test_names_are_as_prometheus_wants_them(conn: Conn) -> None:
    for each in call(conn, "list_metrics"):
        assert re.fullmatch(r"pgq_[a-z_]+[a-z]", each["metric"])
        assert (each["type"] == "counter") == each["metric"].endswith("_total"), each
        if each["type"] == "histogram":
            assert each["metric"].endswith("_seconds")


def test_each_is_described_once(conn: Conn) -> None:
    found = call(conn, "list_metrics")
    assert len({each["metric"] for each in found}) == len(found)
    assert all(re.fullmatch(r"[^\\\n]+\.", each["help"]) for each in found)


def test_labels_are_few(conn: Conn) -> None:
    labels = {label for each in call(conn, "list_metrics") for label in each["labels"]}
    assert labels == {"queue", "source", "outcome", "result", "reason", "write", "state", "table"}
