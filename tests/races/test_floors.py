"""Everybody at once, over a crash of the server: no job is lost, and none runs twice."""

from __future__ import annotations

from pgq import schema
from pgq.postgres import Postgres
from races.actors import Race, consumer, idler, notary, producer, upkeep
from sql.support import column, connect, repeat_sweep, rows, value, wait_until

ACT_SECONDS = 7.0
"""Of each of the two halves, before and after the crash."""
MOVES = 40
"""Floors that were moved, at least: without that the rest shows nothing."""
STRAGGLERS = 10


def test_no_job_is_lost_when_everybody_races(private_server: Postgres) -> None:
    schema.migrate(private_server.dsn)
    race = Race(private_server.dsn)
    conn = connect(race.dsn)
    for number in range(8):
        race.start("producers", producer, number)
    race.start("producers", notary, 20)
    for number in range(30, 33):
        race.start("producers", idler, number)
    for number in range(40, 45):
        race.start("consumers", consumer, number)
    for number in range(50, 52):
        race.start("consumers", upkeep, number)

    race.pause(ACT_SECONDS)
    with race.down():
        wait_until(
            lambda: column(conn, "select gid from pg_prepared_xacts"), "a transaction is prepared"
        )
        private_server.stop("immediate")
        private_server.start()
        conn = connect(race.dsn)
        # A crash gives out ids again that no transaction has committed.
        assert not race.rolled_back & set(column(conn, "select id from pgq.job"))
        race.rolled_back.clear()
        # What consumers had in hand; they have forgotten it.
        race.doubts(column(conn, "update pgq.lease set expires_at = pgq._clock() returning job_id"))
    race.pause(ACT_SECONDS)
    race.end("producers")
    conn = connect(race.dsn)
    for name in column(conn, "select gid from pg_prepared_xacts"):
        conn.execute(f"commit prepared '{name}'")
    # What committed late behind the cursor is promoted by a sweep that comes each 10 s.
    repeat_sweep(conn, "delayed_sweep")
    try:
        wait_until(lambda: not column(conn, UNFINISHED), "every job has succeeded")
    finally:
        race.end("consumers")
        # Upkeep deletes floors that are older than this race is long.
        moves = value(conn, "select count(*) from pgq.floor")
        stragglers = value(conn, "select last_value from pgq.straggler_id_seq")
        print(f"{moves} floor moves, {stragglers} stragglers, {race.summary()}")
        print("unfinished:", rows(conn, UNFINISHED + " limit 10"))

    repeat_sweep(conn, "audit_counters")
    for _ in range(2):
        conn.execute("select pgq.audit_state(1000000)")
    assert rows(conn, "select * from pgq.stats() where metric = 'repaired'") == []

    jobs = set(column(conn, "select id from pgq.job"))
    assert race.errors == []
    assert race.committed <= jobs
    assert not race.rolled_back & jobs
    assert race.twice == []
    certain = jobs - race.doubtful
    assert {job: race.ended[job] for job in certain if race.ended[job] != 1} == {}
    assert {
        job: (race.claimed[job], race.given_back[job])
        for job in certain
        if race.claimed[job] != 1 + race.given_back[job]
    } == {}
    assert len(certain) > 0.9 * len(jobs)
    assert moves >= MOVES
    assert stragglers >= STRAGGLERS


UNFINISHED = """
    select j.id, s.state, r.seq, r.lane
    from pgq.job j
    left join pgq.finished f on f.job_id = j.id
    left join pgq.job_status s on s.id = j.id
    left join pgq.ready r on r.job_id = j.id
    where f.job_id is null
"""
