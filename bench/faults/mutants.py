"""What a row protects, taken away: with it gone the row has to fall short.

A rule of the database is a change in a file of `sql/functions`; one of the worker is a change in a
module, made in each of its processes as it starts (`faults/mutant_site`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from pgq import schema
from pgq_bench.server import Session

SITE = Path(__file__).parent / "mutant_site"


@dataclass(frozen=True)
class Rule:
    """A rule of the database: texts in a file that each occur once, and what takes their place."""

    file: str
    changes: tuple[tuple[str, str], ...]

    def install(self, session: Session) -> None:
        text = (schema.sql_root() / "functions" / self.file).read_text()
        for old, new in self.changes:
            if text.count(old) != 1:
                raise AssertionError(f"{self.file} has changed: {old!r}")
            text = text.replace(old, new)
        session.execute(text.encode())


UNFENCED = """
begin
    p_tokens := array(
        select coalesce(l.token, u.token)
        from unnest(p_ids, p_tokens) with ordinality u (id, token, n)
        left join pgq.lease l on l.job_id = u.id
        order by u.n
    );
"""
"""Begins a verb: whoever names a running job counts as its holder."""

RULES: Mapping[str, Rule] = {
    "no_fence_of_complete": Rule("complete_many.sql", (("\nbegin\n", UNFENCED),)),
    "no_fence_of_fail": Rule("fail_many.sql", (("\nbegin\n", UNFENCED),)),
    "no_fence_of_log": Rule("log_many.sql", (("\nbegin\n", UNFENCED),)),
    "stale_writes_not_counted": Rule(
        "_count_stale.sql", (("from unnest(p_ids) i (id)", "from unnest(p_ids[2:]) i (id)"),)
    ),
    # Who has expired may go on.
    "no_fence_of_heartbeat": Rule(
        "heartbeat.sql",
        (("        and w.state <> 'offline'\n        and w.expires_at > v_clock\n", ""),),
    ),
    # Two workers may have one id.
    "no_token_of_workers": Rule(
        "heartbeat.sql",
        (("        and (p_token is null or w.token = p_token)\n", ""),),
    ),
    # The lease clock goes as the database's own does.
    "lease_clock_steps": Rule(
        "reap.sql",
        (("v_step := least(greatest(v_step, interval '0'), v_most);", "null;"),),
    ),
    # Who was in a process that died is charged, whether or not it was alone in it.
    "no_suspects": Rule(
        "_end_lease.sql",
        (
            (
                "coalesce(v_blamed and p_lease.suspect and p_charge, false)",
                "coalesce(v_blamed, false)",
            ),
        ),
    ),
    # A heartbeat is heard, but keeps no lease.
    "no_renewal": Rule(
        "heartbeat.sql",
        (("then v_clock else v_clock + s.lease end", "then v_clock else w.expires_at end"),),
    ),
    # What a process is still claiming is given to others.
    "claims_not_in_hand": Rule(
        "heartbeat.sql",
        (("from unnest(p_claims) c (token) where c.token = g.token", "where false"),),
    ),
    "floor_never_moves": Rule(
        "_settle.sql", (("v_next := coalesce(v_row.seq, v_mark + 1);", "v_next := v_floor.floor;"),)
    ),
    # Payloads are looked for in the partitions of all days.
    "claim_opens_every_day": Rule(
        "claim.sql", (("        and j.id between v_low and v_high\n", ""),)
    ),
    # Metrics count what there is.
    "jobs_are_counted": Rule(
        "stats.sql",
        (
            (
                "c.sum from pgq.counter c\n",
                "c.sum from pgq.counter c\n"
                "        union all\n"
                "        select 'default', 'counted', '', null, count(*), 0 from pgq.finished f\n",
            ),
        ),
    ),
    # What is finished stays.
    "nothing_pruned": Rule(
        "prune.sql",
        (("v_n := pgq._prune_dead(p_limit) + pgq._prune_finished(p_limit);", "v_n := 0;"),),
    ),
    # A failure uses up no attempt.
    "attempts_not_charged": Rule(
        "fail_many.sql",
        (("f.attempt,\n            f.crashes,", "f.attempt - 1,\n            f.crashes,"),),
    ),
    # Who has ended still has its unique key.
    "keys_not_freed": Rule("_free_keys.sql", (("and k.job_id = i.id", "and false"),)),
    # The floor of a lane passes jobs that wait.
    "floor_past_what_waits": Rule(
        "_settle.sql", (("v_next := coalesce(v_row.seq, v_mark + 1);", "v_next := v_mark + 1;"),)
    ),
    # Jobs are locked in any order.
    "no_order_of_locks": Rule("release.sql", (("order by u.id", "order by random()"),)),
    "rings_when_the_queue_is_full": Rule(
        "_notify.sql", (("pg_notification_queue_usage() < 0.5", "true"),)
    ),
    "everybody_is_woken_for_one": Rule("_ring.sql", (("exit when v_slots >= new.n;", "null;"),)),
    "everybody_is_woken": Rule("_ring.sql", (("            and w.queue = new.queue\n", ""),)),
}
STATEMENTS: Mapping[str, LiteralString] = {
    # Whether a key is free is looked up, not enforced.
    "keys_looked_up": """
        alter table pgq.unique_key drop constraint unique_key_pkey;
        create index on pgq.unique_key (queue, key);
        create or replace function pgq._take_key() returns trigger language plpgsql
        security definer set search_path = '' as $$
        begin
            if exists (
                select
                from pgq.unique_key k
                where k.queue = new.queue
                    and k.key = new.unique_key
            ) then
                return null;
            end if;
            insert into pgq.unique_key (queue, key, job_id)
            values (new.queue, new.unique_key, new.id);
            return new;
        end
        $$;
    """,
    "nothing_vacuumed": """
        alter table pgq.ready set (autovacuum_enabled = off);
        alter table pgq.delayed set (autovacuum_enabled = off);
        alter table pgq.lease set (autovacuum_enabled = off);
        alter table pgq.tally set (autovacuum_enabled = off);
    """,
    # A commit is acknowledged before it is on disk.
    "asynchronous_commit": "alter database pgq set synchronous_commit = off",
}
WORKER = frozenset(
    {
        "decoded_together",
        "handlers_go_on",
        "heartbeat_with_handlers",
        "jobs_kept_in_memory",
        "no_backoff",
        "nothing_released",
        "refuses_newer_schema",
        "suspects_in_company",
        "wakes_only",
        "want_of_room_is_final",
    }
)
"""Names of functions in `faults.mutant_site.sitecustomize`."""


def install(session: Session, name: str | None) -> None:
    """Break a rule of the database, if that is what the name says."""
    if rule := RULES.get(name or ""):
        rule.install(session)
    if statement := STATEMENTS.get(name or ""):
        session.execute(statement)


def environment(name: str | None) -> dict[str, str]:
    """What a worker needs in its environment to be broken, if that is what the name says."""
    if name not in WORKER:
        return {}
    return {"PYTHONPATH": str(SITE), "FAULTS_MUTANT": str(name)}
