"""A check: declared as data, with a function that looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pgq.doctor.patient import Patient

Verdict = Literal["ok", "unknown", "warning", "critical"]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a check found: a figure that is held against its limits, and the evidence in words."""

    figure: float
    evidence: str
    names: Mapping[str, Any] = field(default_factory=dict)
    """What the mending command is filled in with."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing to look at. A limit that is None is never reached."""

    name: str
    about: str
    measure: str
    """What the figure is."""
    warning: float | None
    critical: float | None
    mend: str
    """Command or statement, with names in braces that the evidence fills in."""
    look: Callable[[Patient], Seen]

    def judge(self, patient: Patient) -> Diagnosis:
        """Look, and hold what is seen against the limits."""
        seen = self.look(patient)
        verdict: Verdict = "ok"
        if self.warning is not None and seen.figure >= self.warning:
            verdict = "warning"
        if self.critical is not None and seen.figure >= self.critical:
            verdict = "critical"
        mend = None if verdict == "ok" else self.remedy(seen.names)
        return Diagnosis(self, verdict, seen.evidence, mend, float(seen.figure))

    def remedy(self, names: Mapping[str, Any] = MappingProxyType({})) -> str:
        """The mending command with these names, else with placeholders."""
        return self.mend.format_map(_Names(names))


@dataclass(frozen=True)
class Diagnosis:
    """What came of a check."""

    check: Check
    verdict: Verdict
    evidence: str
    mend: str | None = None
    figure: float | None = None


class _Names(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return name.upper()


CHECKS: dict[str, Check] = {}


def several(
    told: Sequence[str],
    otherwise: str,
    *,
    form: str = "{}",
    rows: Sequence[Mapping[str, Any]] = (),
) -> Seen:
    """As many as there are, told in `form`; the first of `rows` fills the command in."""
    return Seen(
        figure=len(told),
        evidence=form.format(listed(told)) if told else otherwise,
        names=rows[0] if rows else {},
    )


def check(
    about: str,
    *,
    measure: str = "how many",
    warning: float | None = None,
    critical: float | None = None,
    mend: str,
) -> Callable[[Callable[[Patient], Seen]], Check]:
    """Declares a check; its name is the function's, with hyphens."""

    def declare(look: Callable[[Patient], Seen]) -> Check:
        name = look.__name__.rstrip("_").replace("_", "-")
        made = Check(
            name=name,
            about=about,
            measure=measure,
            warning=warning,
            critical=critical,
            mend=mend,
            look=look,
        )
        CHECKS[name] = made
        return made

    return declare


def amount(seconds: float) -> str:
    """A duration for people."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def size(number: float) -> str:
    """A number of bytes for people."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if number >= 1024**power:
            return f"{number / 1024**power:.1f} {unit}"
    return f"{number:.0f} bytes"


def listed(words: Sequence[str], most: int = 5) -> str:
    """Some of many."""
    shown = ", ".join(words[:most])
    return f"{shown} and {len(words) - most} more" if len(words) > most else shown
