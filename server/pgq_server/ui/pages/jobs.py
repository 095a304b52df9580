"""`/ui/jobs`: all jobs, filtered, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.responses import Response

from pgq_server.call import Call
from pgq_server.gateway import Row, verb
from pgq_server.models.base import Id, Text
from pgq_server.ui import figures, filters, forms
from pgq_server.ui.page import page_route, show
from pgq_server.ui.rendering import Addresses

LENGTH = 50
"""Jobs on a page."""
ROWS = 100_000
"""Jobs that a search may look at."""
INSIDE, OUTSIDE = 0.25, 0.15
"""Seconds that a search may take inside payloads, and elsewhere."""
COUNTING = 0.05
"""Seconds that the total may take."""
CAP = 10_000
"""Totals are counted up to here."""
COLUMNS = (
    "id", "task", "queue", "priority", "state", "attempt", "suspect", "run_at", "created_at",
    "claimed_at", "started_at", "finished_at", "worker", "tags", "looked_to",
)  # fmt: skip
_QUEUES = ("queue", *filters.STATES)
_KEPT = frozenset(("scheduled", "ready", "running", "retrying", "dead"))
"""States whose counts are of jobs that there are; others are totals since the installation."""


class Query(forms.Fields):
    """All that the page shows, so that its address can be passed on."""

    q: Annotated[Text, Field(max_length=1000)] = ""
    sort: Literal["newest", "oldest"] = "newest"
    before: Id | None = None
    after: Id | None = None


@dataclass(frozen=True)
class View:
    """What the page says."""

    address: Any
    query: Query
    filter: filters.Filter
    found: Sequence[Row]
    queues: Sequence[Row]
    workers: Sequence[Row]
    counted: Row | None
    now: datetime

    @property
    def q(self) -> str:
        return self.query.q

    @property
    def sort(self) -> str:
        return self.query.sort

    @property
    def problems(self) -> Sequence[str]:
        return self.filter.problems

    @property
    def is_filtered(self) -> bool:
        return not self.filter.is_empty

    @property
    def _rows(self) -> list[Row]:
        rows = [row for row in self.found if row["id"] is not None]
        return rows[::-1] if self._is_backwards else rows

    @property
    def jobs(self) -> list[Row]:
        """The jobs of this page; one more may have been fetched."""
        return self._rows[-LENGTH:] if self._is_backwards else self._rows[:LENGTH]

    @property
    def _is_backwards(self) -> bool:
        """Whether the page was reached by going back, and is fetched in the other order."""
        return (self.query.after if self.sort == "newest" else self.query.before) is not None

    @property
    def _has_more(self) -> bool:
        return len(self._rows) > LENGTH

    @property
    def worker_names(self) -> Mapping[int, str]:
        return {worker["id"]: worker["name"] for worker in self.workers}

    @property
    def tabs(self) -> list[tuple[str, str, int | None, bool]]:
        """Name, address, number of jobs if known, whether it is this one."""
        counts = self._counts()
        return [
            (
                name,
                self._link(q=self.filter.with_word("state", None if name == "all" else name)),
                counts.get(name),
                self.filter.state == (None if name == "all" else name),
            )
            for name in ("all", *filters.STATES)
        ]

    def _counts(self) -> dict[str, int]:
        if not self.filter.only_queue:
            return {}
        queues = [row for row in self.queues if self.filter.queue in (None, row["queue"])]
        return {state: sum(int(row[state]) for row in queues) for state in filters.STATES}

    @property
    def sorts(self) -> list[tuple[str, str]]:
        return [
            (sort, self._link(q=self.q, sort=None if sort == "newest" else sort))
            for sort in ("newest", "oldest")
        ]

    def narrowed(self, key: str, value: Any) -> str:
        """The address of this list with another condition."""
        return self._link(q=self.filter.with_word(key, str(value)), sort=self._sort)

    @property
    def when(self) -> str:
        """What the moment of a row is."""
        return {"scheduled": "Due", "retrying": "Next try", "running": "Started"}.get(
            self.filter.state or "", "Last change"
        )

    def moment(self, job: Row) -> datetime | None:
        """The moment that matters most in a job's state."""
        by_state: dict[str, datetime | None] = {
            "scheduled": job["run_at"],
            "retrying": job["run_at"],
            "ready": job["run_at"] or job["created_at"],
            "running": job["started_at"] or job["claimed_at"],
        }
        return by_state.get(job["state"], job["finished_at"])

    @property
    def looked_to(self) -> int | None:
        """Where a search stopped for its budget."""
        return next((row["looked_to"] for row in self.found if row["id"] is None), None)

    @property
    def looked_at(self) -> datetime:
        """The day of that job: ids name it."""
        return datetime.fromtimestamp(((self.looked_to or 0) >> 32) * 86_400, UTC)

    rows = ROWS

    @property
    def seconds(self) -> str:
        return f"{INSIDE if self.filter.path else OUTSIDE:g}"

    @property
    def further(self) -> str:
        """The address that goes on from there."""
        return (
            self._page(after=self.looked_to) if self._ascends else self._page(before=self.looked_to)
        )

    @property
    def _ascends(self) -> bool:
        return (self.sort == "oldest") != self._is_backwards

    @property
    def total_words(self) -> str:
        """`50 of 10,000+ jobs`."""
        shown = figures.count(len(self.jobs), "job")
        total = self._total
        return f"{shown} of {total}" if total else shown

    @property
    def total_words_short(self) -> str:
        return f"all {self._total} that match" if self._total else "all that match"

    @property
    def _total(self) -> str:
        if self.counted is None:
            return ""
        more = "+" if self.counted["capped"] or self.counted["looked_to"] is not None else ""
        return f"{self.counted['n']:,}{more}"

    @property
    def previous_words(self) -> str:
        return "Newer" if self.sort == "newest" else "Older"

    @property
    def next_words(self) -> str:
        return "Older" if self.sort == "newest" else "Newer"

    @property
    def previous(self) -> str | None:
        is_first = self.query.before is None and self.query.after is None
        if is_first or not self.jobs or (self._is_backwards and not self._has_more):
            return None
        first = self.jobs[0]["id"]
        return self._page(after=first) if self.sort == "newest" else self._page(before=first)

    @property
    def next(self) -> str | None:
        if not self.jobs or not (self._has_more or self._is_backwards):
            return None
        last = self.jobs[-1]["id"]
        return self._page(before=last) if self.sort == "newest" else self._page(after=last)

    @property
    def _sort(self) -> str | None:
        return None if self.sort == "newest" else self.sort

    def _page(self, **cursor: int | None) -> str:
        return self._link(q=self.q, sort=self._sort, **cursor)

    def _link(self, **query: Any) -> str:
        return str(self.address("/ui/jobs", **query))


def arguments(query: Query, found: filters.Filter, worker: int | None) -> dict[str, Any]:
    """Of `list_jobs`, for one page and one job more."""
    cursor: dict[str, Any]
    if found.id is not None:
        cursor = {"p_before": found.id + 1, "p_after": None}
    elif query.sort == "oldest" and query.before is None:
        cursor = {"p_after": query.after or 0, "p_before": None}
    else:
        cursor = {"p_before": query.before, "p_after": query.after}
    return {
        **found.arguments(worker),
        **cursor,
        "p_limit": 1 if found.id is not None else LENGTH + 1,
        "p_rows": ROWS,
        "p_budget": timedelta(seconds=INSIDE if found.path else OUTSIDE),
    }


async def jobs(call: Call[None, Query]) -> Response:
    """One page of jobs."""
    now = datetime.now(UTC)
    query = call.query
    wanted = filters.parse(query.q, now)
    workers, queues = await call.db.batch(
        verb("list_workers", ("id", "name")), verb("list_queues", _QUEUES)
    )
    reached = [row for row in queues if call.identity.reaches(row["queue"])]
    worker = wanted.worker_among(workers)
    found: list[Row] = []
    counted: list[Row] = []
    if not wanted.problems:
        conditions = {**wanted.arguments(worker), "p_queues": call.identity.only}
        page = {**arguments(query, wanted, worker), "p_queues": call.identity.only}
        calls = [verb("list_jobs", COLUMNS, **page)]
        if wanted.path is None and wanted.id is None:
            columns = ("n", "capped", "looked_to")
            budget = timedelta(seconds=COUNTING)
            if _depth(wanted, reached) > CAP:  # to count so many again takes longest
                counted = [{"n": CAP, "capped": True, "looked_to": None}]
            else:
                count = {**conditions, "p_cap": CAP, "p_budget": budget}
                calls.append(verb("count_jobs", columns, **count))
        found, *others = await call.db.batch(*calls)
        counted = others[0] if others else counted
    if wanted.id is not None:
        found = [row for row in found if row["id"] == wanted.id]
    view = View(
        address=Addresses(call.services.settings.prefix).url,
        query=query,
        filter=wanted,
        found=found,
        queues=reached,
        workers=workers,
        counted=counted[0] if counted else None,
        now=now,
    )
    # A search inside payloads is too dear to be repeated with every change.
    live = None if wanted.path else "pgq:change from:body throttle:2s, every 30s"
    return show(call, "jobs.html", view, page="/ui/jobs", live=live)


def _depth(wanted: filters.Filter, queues: Sequence[Row]) -> int:
    """Jobs that pass a filter for sure, as far as counters tell."""
    if not wanted.only_queue:
        return 0
    states = _KEPT if wanted.state is None else {wanted.state} & _KEPT
    of = [row for row in queues if wanted.queue in (None, row["queue"])]
    return sum(int(row[state]) for row in of for state in states)


ROUTES = (page_route("GET", "/ui/jobs", jobs, "Jobs", query=Query, reach="handler"),)
