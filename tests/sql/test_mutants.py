"""Guards of the verbs, taken away: it installs, and the guard's own test fails.

That the same tests pass on the verbs as they are is seen where they stand.
"""

from __future__ import annotations

import inspect

import psycopg
import pytest

from races.test_mutants import Mutant
from sql import test_authenticate as authenticate
from sql import test_decline as decline
from sql import test_drain as drain
from sql import test_recall_request as requests
from sql import test_watch as watch

MUTANTS = [
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
    # Tasks of ours
    Mutant(
        "task_of_ours_ages",
        decline.test_job_of_a_task_of_ours_waits_on_however_long,
        "decline.sql",
        (("coalesce(v_task not like 'pgq.%', true)", "true"),),
    ),
]


@pytest.mark.parametrize("mutant", [pytest.param(each, id=each.name) for each in MUTANTS])
def test_mutant_is_caught(mutant: Mutant, dsn: str, request: pytest.FixtureRequest) -> None:
    names = inspect.signature(mutant.test).parameters
    fixtures = {name: request.getfixturevalue(name) for name in names}
    mutant.install(dsn)
    with pytest.raises((AssertionError, pytest.fail.Exception, psycopg.Error)):
        mutant.test(**fixtures)
