from __future__ import annotations

from sql.support import Conn, call, insert


def test_every_sequence_is_told_with_its_last_value(conn: Conn) -> None:
    (job,) = insert(conn)
    found = {each["sequence"]: each for each in call(conn, "list_sequences")}
    assert found["job_id_seq"]["last_value"] == job
    assert found["job_id_seq"]["most"] == 2**53 - 1
    assert found["ready_seq"]["most"] == 2**63 - 1
