"""`/ui/dead`: dead letters by kind of error, and those of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from pgq_server.call import Call
from pgq_server.gateway import Row, verb
from pgq_server.models.base import Id, Name, Text
from pgq_server.ui import forms
from pgq_server.ui.page import page_route, show
from pgq_server.ui.rendering import Addresses

LENGTH = 50
_GROUPS = (
    "fingerprint", "reason", "error_class", "message", "n", "first_at", "last_at", "last_id",
    "tasks", "queues",
)  # fmt: skip
_LETTERS = (
    "id", "task", "queue", "reason", "error_class", "message", "attempt", "crashes", "died_at",
)  # fmt: skip


class Query(forms.Fields):
    """Which dead letters."""

    queue: Name | None = None
    task: Name | None = None
    fingerprint: Annotated[Text, Field(max_length=200)] | None = None
    before: Id | None = None


@dataclass(frozen=True)
class View:
    """What the page says."""

    query: Query
    groups: Sequence[Row]
    letters: Sequence[Row]
    queues: Sequence[str]
    address: Any

    @property
    def group(self) -> Row | None:
        """The one kind that is looked at."""
        return next(
            (each for each in self.groups if each["fingerprint"] == self.query.fingerprint), None
        )

    @property
    def is_filtered(self) -> bool:
        return bool(self.query.queue or self.query.task)

    @property
    def shown(self) -> Sequence[Row]:
        return self.letters[:LENGTH]

    @property
    def next(self) -> str | None:
        if len(self.letters) <= LENGTH:
            return None
        return self._link(fingerprint=self.query.fingerprint, before=self.shown[-1]["id"])

    def of(self, group: Row) -> str:
        """The address of a kind's letters."""
        return self._link(fingerprint=group["fingerprint"])

    def operation(self, verb: str, fingerprint: str | None, limit: int | None = None) -> str:
        """The address of the dialog of a bulk action."""
        return str(
            self.address(
                "/ui/operations/new",
                verb=verb,
                fingerprint=fingerprint,
                queue=self.query.queue,
                task=self.query.task,
                limit=limit,
            )
        )

    def _link(self, **query: Any) -> str:
        kept = {"queue": self.query.queue, "task": self.query.task}
        return str(self.address("/ui/dead", **kept, **query))


async def dead(call: Call[None, Query]) -> Response:
    """Dead letters."""
    query, only = call.query, call.identity.only
    calls = [
        verb("list_dead_groups", _GROUPS, p_queue=query.queue, p_task=query.task, p_queues=only),
        verb("list_queues", ("queue", "dead")),
    ]
    if query.fingerprint:
        calls.append(
            verb(
                "list_dead",
                _LETTERS,
                p_queue=query.queue,
                p_task=query.task,
                p_fingerprint=query.fingerprint,
                p_before=query.before,
                p_limit=LENGTH + 1,
                p_queues=only,
            )
        )
    groups, queues, *letters = await call.db.batch(*calls)
    reached = [row["queue"] for row in queues if call.identity.reaches(row["queue"])]
    view = View(
        query=query,
        groups=groups,
        letters=letters[0] if letters else [],
        queues=reached,
        address=Addresses(call.services.settings.prefix).url,
    )
    template = "dead_group.html" if query.fingerprint else "dead.html"
    return show(call, template, view, page="/ui/dead", live=_LIVE)


_LIVE = "pgq:change from:body throttle:3s, every 30s"

ROUTES = (page_route("GET", "/ui/dead", dead, "Dead letters", query=Query, reach="handler"),)
