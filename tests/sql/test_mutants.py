"""Guards of the verbs, taken away: it installs, and the guard's own test fails.

That the same tests pass on the verbs as they are is seen where they stand.
"""

from __future__ import annotations

import inspect

import psycopg
import pytest

from races.test_mutants import Mutant
from sql import test_authenticate as authenticate
from sql import test_await_jobs as awaits
from sql import test_claim as claims
from sql import test_costs as costs
from sql import test_decline as decline
from sql import test_drain as drain
from sql import test_edit as edits
from sql import test_heartbeat as heartbeats
from sql import test_list_jobs as searches
from sql import test_operate as operate
from sql import test_recall_request as requests
from sql import test_watch as watch
from sql.support import Conn
from sql.test_await_jobs import ear as ear  # a fixture


def busy_job(conn: Conn, dsn: str) -> None:
    operate.test_job_that_somebody_is_moving_is_tried_again(conn, dsn, "retry", commits=False)


def deadlock(conn: Conn) -> None:
    operate.test_slice_that_met_another_transaction_is_tried_again(conn, "40P01")


def many_rows(conn: Conn) -> None:
    searches.test_search_stops_after_so_many_rows_and_goes_on(conn, None)


def odd_payload(conn: Conn) -> None:
    searches.test_value_inside_a_payload(conn, None, r'{"z": "\u0000", "b": 1}', ["b"], "1")


def escaped_payload(conn: Conn) -> None:
    searches.test_value_inside_a_payload(conn, None, r'{"a": "\u00e4"}', ["a"], "ä")


def other_queues(conn: Conn) -> None:
    searches.test_only_jobs_of_these_queues(conn, "ready")


def ours_alone(conn: Conn) -> None:
    claims.test_tasks_of_ours_come_to_those_who_ask_for_them(conn, many=False)


def ours_among_many(conn: Conn) -> None:
    claims.test_tasks_of_ours_come_to_those_who_ask_for_them(conn, many=True)


def lost_one_of_ours(conn: Conn) -> None:
    claims.test_task_of_ours_stays_one(conn, "lost")


def open_claim(conn: Conn, dsn: str) -> None:
    costs.test_claim_reads_what_it_takes_however_much_ended_under_an_old_transaction(
        conn, dsn, costs.claims
    )


def open_insert(conn: Conn, dsn: str) -> None:
    costs.test_claim_reads_what_it_takes_however_much_ended_under_an_old_transaction(
        conn, dsn, costs.enqueues
    )


def old_reader(conn: Conn, dsn: str) -> None:
    costs.test_claim_reads_what_it_takes_however_much_ended_under_an_old_transaction(
        conn, dsn, costs.reads
    )


MUTANTS = [
    # Floors, counted
    Mutant(
        "open_claim_keeps_the_floor",
        open_claim,
        "_settle.sql",
        (("if v_row.touched and", "if false and"),),
    ),
    Mutant(
        "open_insert_keeps_the_floor",
        open_insert,
        "_settle_mark.sql",
        (("v_pending.noted_at < clock_timestamp() - interval '2 seconds'", "false"),),
    ),
    Mutant(
        "claims_from_the_first_row",
        old_reader,
        "claim.sql",
        (
            (
                """and x.seq >= coalesce((
                                select f.floor
                                from pgq.floor f
                                where f.lane = l.lane
                                order by f.floor desc
                                limit 1
                            ), 0)""",
                "",
            ),
        ),
    ),
    # Waiting jobs
    Mutant(
        "job_seen_in_part",
        edits.test_job_that_is_committed_just_now_is_refused_like_one_that_moves,
        "edit.sql",
        (("    if not found then\n", "    if false then\n"),),
    ),
    # Tokens
    Mutant(
        "expired_token_is_valid",
        authenticate.test_token_that_has_expired_is_nobody,
        "_valid_token.sql",
        (("    and (t.expires_at is null or t.expires_at > now())", ""),),
    ),
    Mutant(
        "revoked_token_is_valid",
        authenticate.test_token_that_is_revoked_is_nobody,
        "_valid_token.sql",
        (("t.revoked_at is null", "true"),),
    ),
    Mutant(
        "use_is_noted_each_time",
        authenticate.test_use_is_noted_once_a_minute,
        "authenticate.sql",
        (("x.last_used_at < clock_timestamp() - interval '1 minute'", "true"),),
    ),
    Mutant(
        "use_waits",
        authenticate.test_use_waits_for_nobody,
        "authenticate.sql",
        (("for update skip locked", "for update nowait"),),
    ),
    # Idempotency keys
    Mutant(
        "key_of_another_request",
        requests.test_key_of_another_request_is_refused,
        "recall_request.sql",
        (("if v_request.fingerprint <> p_fingerprint then", "if false then"),),
    ),
    Mutant(
        "request_in_progress",
        requests.test_request_in_progress_is_refused_at_once,
        "_hold_request.sql",
        (
            (
                "pg_try_advisory_xact_lock(1885827432, hashtext(format('%L %L', p_owner, p_key)))",
                "true",
            ),
        ),
    ),
    Mutant(
        "key_of_another_owner",
        requests.test_keys_are_their_owners,
        "recall_request.sql",
        (("r.owner = p_owner\n        and ", ""),),
    ),
    Mutant(
        "answer_is_remembered_for_good",
        requests.test_answer_is_remembered_for_24_hours,
        "recall_request.sql",
        (("\n        and r.at > now() - interval '24 hours'", ""),),
    ),
    Mutant(
        "answer_is_overwritten",
        requests.test_who_did_not_recall_changes_no_answer,
        "remember_request.sql",
        (("\n    where r.at <= now() - interval '24 hours'", ""),),
    ),
    # Waiting
    Mutant(
        "paused_queue_is_told",
        watch.test_paused_queue_has_nothing_to_claim,
        "watch.sql",
        (("p.queue = q.queue", "false"),),
    ),
    Mutant(
        "queue_is_told_below_its_floor",
        watch.test_queue_is_looked_at_from_the_floor,
        "watch.sql",
        (("r.seq >= coalesce((", "0 <= coalesce(("),),
    ),
    Mutant(
        "job_without_a_state_has_ended",
        watch.test_job_that_lost_its_state_is_waited_for,
        "watch.sql",
        (("not exists (select from pgq.job j where j.id = i.id offset 0)", "true"),),
    ),
    # Heartbeats
    Mutant(
        "overtaken_heartbeat_counts",
        heartbeats.test_overtaken_heartbeat_changes_nothing,
        "heartbeat.sql",
        (("and (p_beat is null or w.beat < p_beat)", ""),),
    ),
    # Draining
    Mutant(
        "draining_worker_claims",
        drain.test_draining_worker_claims_nothing,
        "claim.sql",
        ((" and not exists (select from pgq.drain_request d where d.worker = p_worker)", ""),),
    ),
    Mutant(
        "draining_worker_is_not_told",
        drain.test_heartbeat_tells_the_worker,
        "heartbeat.sql",
        (("exists (select from pgq.drain_request d where d.worker = p_worker)", "false"),),
    ),
    Mutant(
        "draining_ends_with_the_registration",
        drain.test_process_that_registers_anew_goes_on_draining,
        "register_worker.sql",
        (("where w.token = p_token", "where false"),),
    ),
    Mutant(
        "draining_of_another_process",
        drain.test_new_process_does_not_drain,
        "register_worker.sql",
        (("where w.token = p_token", "where true"),),
    ),
    # Searches
    Mutant(
        "search_of_any_length",
        many_rows,
        "_find_jobs.sql",
        (("%1$I.n > $4 or ", ""),),
    ),
    Mutant(
        "search_without_end",
        searches.test_search_without_time_looks_at_one_job_and_goes_on,
        "_find_jobs.sql",
        (("clock_timestamp() > $5", "false"),),
    ),
    Mutant(
        "search_that_does_not_get_on",
        searches.test_search_without_time_looks_at_one_job_and_goes_on,
        "_find_jobs.sql",
        (("%1$I.n > 1 and ", ""),),
    ),
    Mutant(
        "payloads_for_everybody",
        searches.test_who_may_not_see_payloads_cannot_search_them,
        "_find_jobs.sql",
        (("p_path is not null and not has", "p_path is null and not has"),),
    ),
    Mutant(
        "odd_payload_raises",
        odd_payload,
        "_find_jobs.sql",
        (("exception\n    when others then", "exception\n    when sqlstate 'PQ999' then"),),
    ),
    Mutant(
        "escapes_are_not_thought_of",
        escaped_payload,
        "_find_jobs.sql",
        ((" or strpos(j.payload::text, ''\\'') > 0", ""),),
    ),
    Mutant(
        "days_without_upkeep_are_not_searched",
        searches.test_job_of_an_old_day_is_found_by_its_time,
        "_find_jobs.sql",
        (
            (
                "(max(j.id) >> 32 << 32) - 1",
                "(floor(extract(epoch from v_since) / 86400)::bigint - 1) << 32",
            ),
        ),
    ),
    Mutant(
        "transactions_over_midnight_are_not_searched",
        searches.test_job_of_a_transaction_over_midnight_is_found_by_its_time,
        "_find_jobs.sql",
        (("::bigint + 2) << 32", "::bigint) << 32"),),
    ),
    Mutant(
        "jobs_of_other_queues",
        other_queues,
        "_find_jobs.sql",
        (("and (not p_filter ? 'queues' or l.queue = any (v_queues))", ""),),
    ),
    # Operations
    Mutant(
        "operation_without_rate",
        operate.test_no_faster_than_its_rate,
        "operate.sql",
        (("when o.rate is not null then least(", "when false then least("),),
    ),
    Mutant(
        "credit_is_not_spent",
        operate.test_rate_holds_across_slices_of_any_size,
        "operate.sql",
        (("coalesce(o.credit - cardinality(v_done), 1)", "coalesce(o.credit, 1)"),),
    ),
    Mutant(
        "credit_is_forgotten_between_slices",
        operate.test_no_faster_than_its_rate,
        "operate.sql",
        (("credit_at = v_now,", "credit_at = 'epoch',"),),
    ),
    Mutant(
        "time_without_upkeep_is_made_up_for",
        operate.test_time_without_upkeep_is_not_made_up_for,
        "operate.sql",
        (("greatest(2 * o.rate, 1)", "1000"),),
    ),
    Mutant(
        "skipped_jobs_spend_credit",
        operate.test_what_is_skipped_does_not_slow_the_rest_down,
        "operate.sql",
        (("o.credit - cardinality(v_done)", "o.credit - cardinality(v_ids)"),),
    ),
    Mutant(
        "operation_without_limit",
        operate.test_no_more_than_its_limit,
        "operate.sql",
        ((", o.most - o.done)", ")"), ("o.done = o.most or ", "")),
    ),
    Mutant(
        "limit_counts_what_was_met",
        operate.test_limit_counts_what_was_moved,
        "operate.sql",
        (
            (", o.most - o.done)", ", o.most - o.found)"),
            ("o.done = o.most or", "o.found = o.most or"),
        ),
    ),
    Mutant(
        "session_without_lock",
        operate.test_who_finds_another_at_it_leaves_the_jobs_to_them,
        "operate.sql",
        (
            (
                "pgq._alone('operate', format('select pgq._operate(%s)', coalesce(p_limit, 1000)))",
                "pgq._operate(p_limit)",
            ),
        ),
    ),
    Mutant(
        "operation_without_lock",
        operate.test_two_at_once_move_each_job_once,
        "operate.sql",
        (("        for no key update skip locked;", "        ;"),),
    ),
    Mutant(
        "operation_is_waited_for",
        operate.test_two_at_once_move_each_job_once,
        "operate.sql",
        (("        for no key update skip locked;", "        for no key update;"),),
    ),
    Mutant(
        "cursor_stands_still",
        operate.test_job_that_fails_again_is_retried_once,
        "operate.sql",
        (("set walked_to = o.walked_to,", "set walked_to = x.walked_to,"),),
    ),
    Mutant(
        "cursor_passes_what_was_left",
        operate.test_keys_that_many_producers_are_at_do_not_make_a_slice_long,
        "operate.sql",
        (("v_left[1] - 1", "v_left[cardinality(v_left)]"),),
    ),
    Mutant(
        "cursor_passes_what_was_not_looked_at",
        operate.test_search_that_stopped_goes_on_where_it_was,
        "operate.sql",
        (("coalesce(v_to, o.up_to)", "o.up_to"),),
    ),
    Mutant(
        "busy_jobs_that_were_not_looked_at_are_dropped",
        operate.test_search_for_those_that_were_busy_goes_on_as_well,
        "operate.sql",
        (("where t.id > v_to", "where false"),),
    ),
    Mutant(
        "new_jobs_are_part_of_it",
        operate.test_jobs_that_are_new_since_the_start_are_no_part_of_it,
        "operate.sql",
        (("p_before => o.up_to + 1", "p_before => null"),),
    ),
    Mutant(
        "busy_job_is_given_up",
        busy_job,
        "operate.sql",
        (
            ("o.still_busy <> '{}' and o.round < 10", "false"),
            ("and o.still_busy = '{}' then", "then"),
        ),
    ),
    Mutant(
        "busy_job_is_tried_for_good",
        operate.test_job_that_stays_busy_is_skipped_in_the_end,
        "operate.sql",
        ((" and o.round < 10", ""),),
    ),
    Mutant(
        "busy_job_is_tried_without_pause",
        busy_job,
        "operate.sql",
        (("if v_now < o.round_at + interval '1 second' then", "if false then"),),
    ),
    Mutant(
        "job_is_waited_for",
        busy_job,
        "_move_jobs.sql",
        (
            (
                "where d.job_id = v_id for update skip locked;",
                "where d.job_id = v_id for update;",
            ),
        ),
    ),
    Mutant(
        "operations_in_one_order",
        operate.test_operations_take_turns,
        "operate.sql",
        (("order by o.credit_at, o.id", "order by o.id"),),
    ),
    Mutant(
        "one_that_breaks_stops_all",
        operate.test_one_that_breaks_fails_with_its_message_and_the_others_go_on,
        "operate.sql",
        (("when others then", "when sqlstate 'PQ999' then"),),
    ),
    Mutant(
        "deadlock_ends_it",
        deadlock,
        "operate.sql",
        (("when transaction_rollback or", "when"),),
    ),
    Mutant(
        "cancels_what_began_meanwhile",
        operate.test_job_that_began_is_left_when_only_waiting_ones_are_wanted,
        "_move_jobs.sql",
        (("'running' = any (p_states)", "true"),),
    ),
    Mutant(
        "key_of_another_job_is_passed_over",
        operate.test_job_whose_key_is_taken_is_skipped,
        "_move_jobs.sql",
        (("if v_holder <> v_id then", "if false then"),),
    ),
    Mutant(
        "slice_without_end",
        operate.test_keys_that_many_producers_are_at_do_not_make_a_slice_long,
        "_move_jobs.sql",
        (("clock_timestamp() > p_until", "false"),),
    ),
    Mutant(
        "payload_over_the_limit",
        operate.test_payload_that_grows_over_the_limit_leaves_its_job_dead,
        "_move_jobs.sql",
        (("octet_length(v_payload::text) > (", "0 > ("),),
    ),
    # Tasks of ours
    Mutant(
        "task_of_ours_ages",
        decline.test_job_of_a_task_of_ours_waits_on_however_long,
        "decline.sql",
        (("coalesce(v_task not like 'pgq.%', true)", "true"),),
    ),
    Mutant(
        "task_of_ours_comes_to_all",
        ours_among_many,
        "claim.sql",
        (("(p_reserved or not l.reserved)", "true"),),
    ),
    Mutant(
        "one_task_of_ours_comes_as_any",
        ours_alone,
        "_route.sql",
        (("v_ours := starts_with(v_job.task, 'pgq.');", "v_ours := false;"),),
    ),
    Mutant(
        "many_tasks_of_ours_come_as_any",
        ours_among_many,
        "_route.sql",
        (("starts_with(n.task, 'pgq.')::integer * 20", "0"),),
    ),
    Mutant(
        "released_task_of_ours_comes_as_any",
        lost_one_of_ours,
        "_end_lease.sql",
        ((", true, v_queue.reserved)", ", true)"),),
    ),
    Mutant(
        "ours_starve_others",
        claims.test_tasks_of_ours_and_others_of_one_priority_starve_neither,
        "claim.sql",
        (("random() < 0.5", "true"),),
    ),
    Mutant(
        "queue_of_ours_wakes_all",
        watch.test_jobs_of_ours_are_nothing_to_claim,
        "watch.sql",
        (("and not l.reserved", ""),),
    ),
    # Wake-ups
    Mutant(
        "rings_who_has_long_gone",
        awaits.test_who_has_not_said_so_for_20_seconds_is_not_rung,
        "_ring.sql",
        (("interval '20 seconds'", "interval '1 day'"),),
    ),
    Mutant(
        "rings_for_other_queues",
        awaits.test_jobs_of_other_queues_do_not_ring,
        "_ring.sql",
        (("and w.queue = new.queue", ""),),
    ),
    Mutant(
        "rings_more_than_the_jobs_need",
        awaits.test_free_slots_are_counted,
        "_ring.sql",
        (("exit when v_slots >= new.n;", ""),),
    ),
    Mutant(
        "rings_where_wake_is_off",
        awaits.test_wake_off_is_silent,
        "_ring.sql",
        ((" or current_setting('pgq.wake', true) = 'off'", ""),),
    ),
]


@pytest.mark.parametrize("mutant", [pytest.param(each, id=each.name) for each in MUTANTS])
def test_mutant_is_caught(mutant: Mutant, dsn: str, request: pytest.FixtureRequest) -> None:
    names = inspect.signature(mutant.test).parameters
    fixtures = {name: request.getfixturevalue(name) for name in names}
    mutant.install(dsn)
    with pytest.raises((AssertionError, pytest.fail.Exception, psycopg.Error)):
        mutant.test(**fixtures)
