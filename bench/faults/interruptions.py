"""Attempts that a death ended: whose, when they were given back, and whether a blow explains it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from faults.ledger import Run
from pgq_bench.server import Session, value

INTERRUPTED = """
select
    a.job_id,
    (w.info ->> 'pid')::integer,
    extract(epoch from a.ended_at)::float8,
    a.charged,
    row_number() over (partition by a.job_id order by a.ended_at) = 1
from pgq.attempt a
join pgq.worker w on w.id = a.worker
where a.reason in ('lost', 'crashed')
order by a.ended_at
"""


@dataclass(frozen=True)
class Interruption:
    """A job given back because its process died, or its worker was not heard of."""

    job: int
    supervisor: int
    """The worker's process."""
    at: float
    """When it was claimable again."""
    charged: bool
    first: bool
    """Of this job: it was no suspect before."""


def interruptions(session: Session) -> list[Interruption]:
    """All of them, in the order in which the jobs were given back."""
    return [Interruption(*row) for row in session.execute(INTERRUPTED)]


def workers_expired(session: Session) -> int:
    """How many workers the database gave up."""
    return int(
        value(
            session,
            "select coalesce(sum(n), 0) from pgq.stats() "
            "where metric = 'worker' and label = 'expired'",
        )
    )


class Blows:
    """What was done to workers, by their supervisor's process."""

    def __init__(self) -> None:
        self._at: dict[int, list[float]] = defaultdict(list)

    def note(self, supervisor: int, at: float) -> None:
        """A blow against this worker or a child of it."""
        self._at[supervisor].append(at)

    def delay(self, interruption: Interruption) -> float | None:
        """Seconds from the blow until the job was claimable again; None when there was no blow."""
        before = [at for at in self._at[interruption.supervisor] if at <= interruption.at]
        return interruption.at - max(before) if before else None


def suspects_delays(interrupted: Sequence[Interruption], runs: dict[int, list[Run]]) -> list[float]:
    """Seconds from being claimable again to the next start, in growing order."""
    return sorted(
        min(later) - one.at
        for one in interrupted
        if (later := [run.began for run in runs.get(one.job, ()) if run.began >= one.at])
    )
