"""R27: the queue keeps to the model, and each of its rules is missed when it is gone."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

from faults import simulation
from faults.mutants import Rule

SEEDS = 60
MOST = 1000
"""Seeds, of which one has to find what is broken: the rarest is found by one in a hundred."""
CHARGE = "coalesce(v_blamed and p_lease.suspect and p_charge, false)"
MUTANTS = {
    "completed_under_any_token": Rule(
        "complete_many.sql",
        (
            (
                "\nbegin\n",
                "\nbegin\n    p_tokens := array(select coalesce(l.token, u.token)"
                " from unnest(p_ids, p_tokens) with ordinality u (id, token, n)"
                " left join pgq.lease l on l.job_id = u.id order by u.n);\n",
            ),
        ),
    ),
    "completion_repeated_is_lost": Rule(
        "complete_many.sql", (("and f.outcome = 'succeeded'", "and false"),)
    ),
    "failure_repeated_is_lost": Rule(
        "fail_many.sql", (("and a.reason in ('error', 'timeout')", "and false"),)
    ),
    "paused_queue_claimed": Rule(
        "_conditions.sql", (("where q.paused_at is not null", "where false"),)
    ),
    "limit_of_promote": Rule("promote.sql", (("limit p_limit", "limit p_limit + 1"),)),
    "expired_worker_claims": Rule(
        "claim.sql", (("if p_worker is distinct from 0 and not", "if false and not"),)
    ),
    "claim_repeated_takes_more": Rule(
        "claim.sql", (("        and f.first;", "        and false;"),)
    ),
    "released_is_charged": Rule(
        "_end_lease.sql", (("        p_lease.attempt - 1,\n", "        p_lease.attempt,\n"),)
    ),
    "innocent_charged": Rule(
        "_end_lease.sql", ((CHARGE, "coalesce(v_blamed and p_charge, false)"),)
    ),
    "guilty_not_charged": Rule("_end_lease.sql", ((CHARGE, "false"),)),
    "charged_after_a_gap": Rule("reap.sql", (("v_tick.clock, not v_gap)", "v_tick.clock, true)"),)),
    "key_taken_twice": Rule(
        "_route.sql",
        (
            (
                "if not found then\n            return null;",
                "if false then\n            return null;",
            ),
        ),
    ),
    "retried_without_its_key": Rule(
        "retry.sql", (("if v_job.unique_key is not null then", "if false then"),)
    ),
    "cancellation_ignored": Rule(
        "_end_lease.sql",
        (
            (
                "            and c.token = p_lease.token\n    )",
                "            and false\n    )",
            ),
        ),
    ),
    "open_claims_forgotten": Rule(
        "_settle.sql", (("and r.seq < coalesce(v_lockable, p_mark + 1)", "and false"),)
    ),
    "stragglers_not_looked_for": Rule(
        "_settle.sql", (("and (v_relied_on or r.seq < f.floor)", "and false"),)
    ),
    "gate": Rule("_gates.sql", (("lock table pgq.gate in row exclusive mode;", "null;"),)),
    "lease_clock_makes_up_for_a_gap": Rule(
        "reap.sql",
        (("least(greatest(v_step, interval '0'), v_most)", "greatest(v_step, interval '0')"),),
    ),
    "lost_workers_not_looked_for": Rule(
        "reap.sql", (("where w.expires_at <= v_tick.clock", "where false"),)
    ),
    "unlisted_leases_are_kept": Rule(
        "heartbeat.sql",
        (
            (
                "            perform pgq._put_back(v_lease);",
                "            insert into pgq.lease select v_lease.*;",
            ),
        ),
    ),
    "held_rows_waited_for": Rule(
        "cancel.sql",
        (
            (
                "from pgq.ready x where x.job_id = p_id for update skip locked",
                "from pgq.ready x where x.job_id = p_id for update",
            ),
        ),
    ),
    "draining_worker_claims": Rule(
        "claim.sql",
        ((" and not exists (select from pgq.drain_request d where d.worker = p_worker)", ""),),
    ),
    "reserved_for_all": Rule("claim.sql", (("and (p_reserved or not l.reserved)", "and true"),)),
    "duplicate_stays_in_its_queue": Rule(
        "duplicate.sql", (("coalesce(p_queue, j.queue)", "j.queue"),)
    ),
    "operation_keeps_the_keys": Rule(
        "_move_jobs.sql", (("if v_keyed is not null then", "if false then"),)
    ),
    "operation_does_too_much": Rule(
        "operate.sql",
        (("v_most := least(p_limit, floor(o.credit), o.most - o.done);", "v_most := p_limit;"),),
    ),
    "operation_forgets_its_filter": Rule(
        "operate.sql", (("        o.filter,\n", "        o.filter - 'queue',\n"),)
    ),
    "suspects_in_company": Rule(
        "claim.sql", (("limit case when v_suspect then 1 else p_limit end", "limit p_limit"),)
    ),
}


def test_simulations_keep_to_the_model(dsn: str) -> None:
    played = simulation.play(dsn, first=0, least=SEEDS)
    assert not played.broken, "\n".join(played.evidence)


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_breaks_the_model(name: str, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "SHORTENING", 0)
    with psycopg.connect(dsn, autocommit=True) as session:
        MUTANTS[name].install(session)
    played = simulation.play(dsn, first=0, least=MOST)
    assert played.broken, f"not found with {played.seeds} seeds"
