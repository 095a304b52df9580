from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from sql.states import STATES, job_in
from sql.support import Conn, answer, call, insert


def test_it_is_what_the_format_wants(conn: Conn) -> None:
    for wanted in STATES:
        job_in(conn, wanted)
    families = {
        family.name: family
        for family in text_string_to_metric_families(answer(conn, "openmetrics"))
    }
    listed = {each["metric"].removesuffix("_total"): each for each in call(conn, "list_metrics")}
    assert list(families) == list(listed)
    for name, family in families.items():
        assert (family.type, family.documentation) == (listed[name]["type"], listed[name]["help"])
        assert family.samples


def test_it_tells_the_samples_of_metrics(conn: Conn) -> None:
    for wanted in STATES:
        job_in(conn, wanted)
    told = {
        (sample.name, *sorted(value for key, value in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer(conn, "openmetrics"))
        for sample in family.samples
    }
    expected = {
        (each["metric"] + each["suffix"], *sorted(each["labels"])): each["value"]
        for each in call(conn, "metrics")
    }
    assert told.keys() == expected.keys()
    same = [key for key in told if "age" not in key[0] and "seconds" not in key[0]]
    assert {key: told[key] for key in same if "table" not in key[0]} == {
        key: expected[key] for key in same if "table" not in key[0]
    }


def test_names_of_queues_come_through_whatever_they_are(conn: Conn) -> None:
    names = ['a "quoted" one', "back\\slash", "two\nlines", "{brace=}", "ünï, 村"]
    for name in names:
        insert(conn, queue=name)
    (family,) = [
        family
        for family in text_string_to_metric_families(answer(conn, "openmetrics"))
        if family.name == "pgq_queue_paused"
    ]
    assert {sample.labels["queue"] for sample in family.samples} == set(names)


def test_cap_is_that_of_metrics(conn: Conn) -> None:
    for n in range(3):
        insert(conn, queue=f"q{n}")
    text = answer(conn, "openmetrics", queues=1)
    assert 'queue="q0"' in text
    assert 'queue="q1"' not in text
    assert 'queue="other"' in text
