"""Each rule of the queue, broken: it installs, and the rule's own test fails by its assertion.

That the same tests pass on the rules as they are is seen where they stand.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pytest

from pgq import schema
from races import test_leases as leases
from races import test_settle_steps as steps
from races import test_slots as slots


@dataclass(frozen=True)
class Mutant:
    """A change of places in a file of functions, or else a statement, and who must notice."""

    name: str
    test: Callable[..., None]
    file: str = ""
    changes: tuple[tuple[str, str], ...] = ()
    statement: str = ""

    def install(self, dsn: str) -> None:
        text = self.statement
        if self.file:
            text = (schema.sql_root() / "functions" / self.file).read_text()
        for old, new in self.changes:
            assert text.count(old) == 1, f"{self.file} has changed: {old!r}"
            text = text.replace(old, new)
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute(text.encode())


MUTANTS = [
    # The gate
    Mutant(
        "gate",
        steps.test_floor_does_not_pass_an_insert_that_is_not_committed,
        "_gates.sql",
        (("lock table pgq.gate in row exclusive mode;", "null;"),),
    ),
    Mutant(
        "gate_trigger",
        steps.test_floor_does_not_pass_an_insert_that_is_not_committed,
        statement="drop trigger hold_gate on pgq.ready",
    ),
    Mutant(
        "gate_of_leases",
        steps.test_lease_of_a_claim_that_committed_late_ends_with_its_worker,
        "_gates.sql",
        (("lock table pgq.lease_gate in row exclusive mode;", "null;"),),
    ),
    # The settle rule
    Mutant(
        "sequence_read_after_holders",
        steps.test_seq_drawn_after_the_look_at_the_holders_is_not_settled,
        "_settle_mark.sql",
        (
            (
                "        p_stream,\n        v_last,\n",
                "        p_stream,\n        pgq._last_seq(p_stream),\n",
            ),
        ),
    ),
    Mutant(
        "first_value_settled_before_it_is_drawn",
        steps.test_first_value_of_the_sequence_is_not_settled_before_it_is_drawn,
        "_settle_mark.sql",
        (
            (
                "case when s.is_called then s.last_value else 0 end from pgq.ready_seq s",
                "s.last_value from pgq.ready_seq s",
            ),
        ),
    ),
    Mutant(
        "holders_not_waited_for",
        steps.test_floor_does_not_pass_an_insert_that_is_not_committed,
        "_settle_mark.sql",
        (("        return null;\n", "        null;\n"),),
    ),
    Mutant(
        "one_holder_that_ended_is_enough",
        steps.test_mark_waits_for_the_last_of_its_holders,
        "_settle_mark.sql",
        (
            (
                "= any (v_holders)\n            and h.holder <> all (v_strayed)",
                "= any (v_holders)\n            and v_pending.holders <@ v_holders",
            ),
        ),
    ),
    Mutant(
        "floor_past_what_waits",
        steps.test_floor_stays_at_the_first_job_that_waits,
        "_settle.sql",
        (("v_next := coalesce(v_row.seq, v_mark + 1);", "v_next := v_mark + 1;"),),
    ),
    Mutant(
        "floor_never_moves",
        steps.test_floor_passes_jobs_that_are_claimed,
        "_settle.sql",
        (("v_next := coalesce(v_row.seq, v_mark + 1);", "v_next := v_floor.floor;"),),
    ),
    Mutant(
        "isolation_of_settle",
        steps.test_settle_in_repeatable_read_moves_no_floor,
        "_settle.sql",
        (("current_setting('transaction_isolation') <> 'read committed'", "false"),),
    ),
    Mutant(
        "isolation_of_settle_in_claim",
        steps.test_claim_in_repeatable_read_moves_no_floor,
        "_settle.sql",
        (("current_setting('transaction_isolation') <> 'read committed'", "false"),),
    ),
    Mutant(
        "sequence_cache",
        steps.test_session_draws_no_seq_that_it_has_kept_from_before_the_floor,
        statement="alter sequence pgq.ready_seq cache 10",
    ),
    # Prepared transactions
    Mutant(
        "prepared_not_a_holder",
        steps.test_prepared_insert_is_claimed_when_it_commits,
        "_settle_mark.sql",
        (
            (
                "    where h.locktype = 'relation';",
                "    where h.locktype = 'relation' and h.pid is not null;",
            ),
        ),
    ),
    Mutant(
        "prepared_holds_the_mark",
        steps.test_prepared_insert_holds_no_floor_back,
        "_settle_mark.sql",
        (("and (h.pid is null or h.virtualtransaction like '-1/%')", "and false"),),
    ),
    Mutant(
        "prepared_known_by_its_name",
        steps.test_prepared_insert_that_was_noted_is_claimed_after_a_restart,
        "_settle_mark.sql",
        (("and (h.pid is null or h.virtualtransaction like '-1/%')", "and false"),),
    ),
    Mutant(
        "prepared_straggler_known_by_its_name",
        steps.test_straggler_that_was_prepared_is_claimed_after_a_restart,
        "_settle_mark.sql",
        (
            (
                "    from unnest(v_prepared) x (xid)\n    where not exists (",
                "    from unnest(v_prepared) x (xid)\n    where false and not exists (",
            ),
        ),
    ),
    Mutant(
        "prepared_straggler_from_the_last_mark_on",
        steps.test_straggler_that_was_prepared_is_claimed_after_a_restart,
        "_settle_mark.sql",
        (
            (
                "    select p_stream, x.xid, least(v_pending.settled + 1, (",
                "    select p_stream, x.xid, greatest(v_pending.settled + 1, (",
            ),
        ),
    ),
    # Stragglers
    Mutant(
        "stragglers_not_noted",
        steps.test_straggler_holds_no_floor_back,
        "_settle_mark.sql",
        (("interval '2 seconds'", "interval '2 days'"),),
    ),
    Mutant(
        "stragglers_not_looked_for",
        steps.test_straggler_that_commits_is_claimed,
        "_settle.sql",
        (("and (v_relied_on or r.seq < f.floor)", "and false"),),
    ),
    Mutant(
        "straggler_taken_for_ended",
        steps.test_straggler_that_commits_is_claimed,
        "_settle_mark.sql",
        (("then t.holder <> all (v_holders)", "then true"),),
    ),
    Mutant(
        "stragglers_behind_an_open_settle",
        steps.test_straggler_that_ends_behind_an_open_settle_is_claimed,
        "_settle.sql",
        (("and s.to_seq is null for key share skip locked;", "and s.to_seq is null;"),),
    ),
    Mutant(
        "stragglers_of_leases",
        steps.test_lease_of_a_claim_that_committed_late_ends_with_its_worker,
        "reap.sql",
        (("and l.seq < v_floor", "and false"),),
    ),
    Mutant(
        "stragglers_held_hostage",
        steps.test_straggler_is_claimed_while_another_settle_stays_open,
        "_settle_mark.sql",
        (("for no key update skip locked", "for update skip locked"),),
    ),
    Mutant(
        "marks_forgotten_before_leases_are_long",
        steps.test_lease_is_entered_as_long_however_slow_the_heartbeat,
        "prune.sql",
        (("v_old - 2 * (select s.heartbeat from pgq.setting s)", "v_old"),),
    ),
    # Open claims
    Mutant(
        "open_claims_not_written_down",
        steps.test_open_claim_that_rolls_back_is_claimed_by_another,
        "_settle.sql",
        (("and r.seq < coalesce(v_lockable, p_mark + 1)", "and false"),),
    ),
    Mutant(
        "open_claims_not_passed",
        steps.test_open_claim_holds_no_floor_back,
        "_settle.sql",
        (("if v_row.touched and", "if false and"),),
    ),
    Mutant(
        "passed_over_what_can_be_locked",
        steps.test_floor_does_not_pass_a_job_that_waits_behind_an_open_claim,
        "_settle.sql",
        (("    return coalesce(v_lockable, p_mark + 1);", "    return p_mark + 1;"),),
    ),
    # The fence
    Mutant(
        "fence",
        leases.test_late_worker_cannot_complete_a_job_it_lost,
        "complete_many.sql",
        (("            and l.token = g.token\n", ""),),
    ),
    Mutant(
        "fence_of_a_batch",
        leases.test_token_completes_its_own_job_only,
        "complete_many.sql",
        (("            and l.token = g.token\n", "            and l.token = any (p_tokens)\n"),),
    ),
    Mutant(
        "fence_of_a_batch_that_fails",
        leases.test_token_fails_its_own_job_only,
        "fail_many.sql",
        (
            ("            and x.token = g.token\n", ""),
            ("on g.id = e.job_id and g.token = e.token", "on g.id = e.job_id"),
        ),
    ),
    Mutant(
        "cancellation_missed_by_a_failure",
        leases.test_batch_that_waited_for_a_cancellation_sees_it,
        "fail_many.sql",
        (("        for update\n", ""),),
    ),
    # Suspects
    Mutant(
        "innocent_charged",
        leases.test_child_that_dies_charges_none_of_the_jobs_in_it,
        "_end_lease.sql",
        (
            (
                "coalesce(v_blamed and p_lease.suspect and p_charge, false)",
                "coalesce(v_blamed and p_charge, false)",
            ),
        ),
    ),
    Mutant(
        "innocent_charged_when_its_worker_is_lost",
        leases.test_jobs_of_a_lost_worker_are_uncharged_suspects,
        "_end_lease.sql",
        (
            (
                "coalesce(v_blamed and p_lease.suspect and p_charge, false)",
                "coalesce(v_blamed and p_charge, false)",
            ),
        ),
    ),
    Mutant(
        "guilty_not_charged",
        leases.test_suspect_whose_process_dies_is_charged,
        "_end_lease.sql",
        (("coalesce(v_blamed and p_lease.suspect and p_charge, false)", "false"),),
    ),
    Mutant(
        "charged_after_a_gap",
        leases.test_suspect_is_not_charged_by_a_reap_that_follows_a_gap,
        "_end_lease.sql",
        (
            (
                "coalesce(v_blamed and p_lease.suspect and p_charge, false)",
                "coalesce(v_blamed and p_lease.suspect, false)",
            ),
        ),
    ),
    Mutant(
        "no_suspects",
        leases.test_child_that_dies_charges_none_of_the_jobs_in_it,
        "_end_lease.sql",
        (("p_lease.suspect or coalesce(v_blamed, false)", "p_lease.suspect"),),
    ),
    Mutant(
        "prefetched_suspected",
        leases.test_job_that_was_only_prefetched_is_no_suspect,
        "release_executor.sql",
        (("case when v_id = any (p_begun) then 'crashed' end", "'crashed'"),),
    ),
    Mutant(
        "suspects_in_company",
        leases.test_suspect_comes_alone,
        "claim.sql",
        (("limit case when v_suspect then 1 else p_limit end", "limit p_limit"),),
    ),
    Mutant(
        "suspects_with_others_after_them",
        leases.test_suspect_comes_alone,
        "claim.sql",
        (
            ("v_rows := array(", "v_rows := v_rows || array("),
            ("exit when v_rows <> '{}';", "null;"),
        ),
    ),
    # Slots of claims
    Mutant(
        "slot_for_a_claim_alone",
        slots.test_claim_alone_needs_no_slot,
        "claim.sql",
        (
            (
                "if not pg_try_advisory_xact_lock(",
                "if null is distinct from pg_try_advisory_xact_lock(",
            ),
        ),
    ),
    Mutant(
        "slots_not_waited_for",
        slots.test_claim_that_is_cancelled_while_it_waits_lets_others_look,
        "_claim_in_turn.sql",
        (("return pgq._await_slot(v_key # (pg_backend_pid() % 8));", "return null;"),),
    ),
    Mutant(
        "slot_waited_for_for_good",
        slots.test_claim_goes_on_when_who_looks_stands_still,
        "_claim_in_turn.sql",
        (("set lock_timeout = '500ms'", "set lock_timeout = 0"),),
    ),
    Mutant(
        "slot_of_the_transaction",
        slots.test_open_claim_lets_others_look,
        "_claim_in_turn.sql",
        (("pg_try_advisory_lock(", "pg_try_advisory_xact_lock("),),
    ),
    Mutant(
        "slot_kept_by_a_claim",
        slots.test_open_claim_lets_others_look,
        "_claim_in_turn.sql",
        (("perform pg_advisory_unlock(1885827434, v_slot);", "null;"),),
    ),
    Mutant(
        "slot_kept_by_a_claim_that_fails",
        slots.test_claim_that_is_refused_lets_others_look,
        "_claim_in_turn.sql",
        (("and k.pid = pg_backend_pid()", "and false"),),
    ),
    Mutant(
        "slot_kept_by_a_claim_that_is_cancelled",
        slots.test_claim_that_is_cancelled_lets_others_look,
        "_claim_in_turn.sql",
        (("when query_canceled or others then", "when others then"),),
    ),
    # The lease clock
    Mutant(
        "lease_clock_makes_up_for_a_gap",
        leases.test_time_without_upkeep_expires_no_worker,
        "reap.sql",
        (
            (
                "least(greatest(v_step, interval '0'), v_most)",
                "greatest(v_step, interval '0')",
            ),
        ),
    ),
    Mutant(
        "lease_clock_goes_back",
        leases.test_lease_clock_does_not_go_back_with_the_clock_of_the_server,
        "reap.sql",
        (
            (
                "least(greatest(v_step, interval '0'), v_most)",
                "least(v_step, v_most)",
            ),
        ),
    ),
    # Unique keys
    Mutant(
        "unique_key",
        leases.test_two_inserts_of_a_key_at_once_make_one_job,
        "_route.sql",
        (
            (
                "        if not found then\n            return null;",
                "        if false then\n            return null;",
            ),
        ),
    ),
    Mutant(
        "unique_key_trigger",
        leases.test_two_inserts_of_a_key_at_once_make_one_job,
        statement="drop trigger take_key on pgq.job",
    ),
]


@pytest.mark.parametrize("mutant", [pytest.param(each, id=each.name) for each in MUTANTS])
def test_mutant_is_caught(mutant: Mutant, request: pytest.FixtureRequest) -> None:
    (stage,) = inspect.signature(mutant.test).parameters
    play = request.getfixturevalue(stage)
    mutant.install(play.dsn)
    with pytest.raises(AssertionError):
        mutant.test(play)
