"""What ails a queue: checks of the database, the schema, the settings and the work.

Each check looks at one thing and never changes any. `examine` has all of them look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

import psycopg

from pgq.doctor.check import CHECKS, Check, Diagnosis, Verdict
from pgq.doctor.patient import Patient
from pgq.errors import PgqError

__all__ = ["CHECKS", "WORST", "Check", "Diagnosis", "Patient", "Verdict", "checks", "examine"]

WORST: Sequence[Verdict] = ("ok", "unknown", "warning", "critical")
"""From the best to the worst."""


def checks() -> dict[str, Check]:
    """All checks by their names, in the order in which they are made."""
    for module in ("reach", "schema", "postgres", "work"):
        import_module(f"pgq.doctor.{module}")
    return CHECKS


def examine(
    patient: Patient, wanted: Callable[[Check], bool] = lambda _: True
) -> Iterator[Diagnosis]:
    """The diagnosis of each check that is wanted, as it is made.

    One that cannot be made, for want of rights or of a connection, is `unknown` and says why.
    """
    for check in filter(wanted, checks().values()):
        try:
            yield check.judge(patient)
        except (PgqError, psycopg.Error) as error:
            why = "the database does not answer" if patient.why_unreachable else str(error)
            yield Diagnosis(check, "unknown", " ".join(why.split()))
