"""JSON as nodes to be shown: masked, bounded in depth, breadth and length."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from pgq_server import masking

Kind = Literal["object", "array", "string", "number", "word", "masked"]

MOST_CHILDREN = 200
MOST_NODES = 2_000
LONGEST_TEXT = 4_000
DEEPEST = 24
OPEN_TO = 3
"""Levels that are unfolded at first."""


@dataclass(slots=True)
class Node:
    """A value, under the key that it has in its parent."""

    key: str | None
    kind: Kind
    text: str = ""
    size: int = 0
    children: list[Node] = field(default_factory=list)
    left_out: int = 0
    is_open: bool = False

    @property
    def is_masked(self) -> bool:
        """Whether some value below is not shown."""
        return self.kind == "masked" or any(child.is_masked for child in self.children)


def grow(text: str) -> Node:
    """The tree of a JSON document."""
    try:
        value = masking.read(text)
    except ValueError as error:
        return Node(None, "word", f"not shown: {error} ({len(text):,} characters)")
    return _Growth().node(None, value, 0)


class _Growth:
    def __init__(self) -> None:
        self.left = MOST_NODES

    def node(self, key: str | None, value: Any, depth: int) -> Node:
        self.left -= 1
        if key is not None and not key.isdecimal() and masking.is_secret(key):
            return Node(key, "masked", masking.MASK)
        if isinstance(value, dict | list):
            return self._branch(key, value, depth)
        if value is None or isinstance(value, bool):
            return Node(key, "word", json.dumps(value))
        if isinstance(value, masking.Number):
            return Node(key, "number", _cut(str(value)))
        return Node(key, "string", json.dumps(_cut(str(value)), ensure_ascii=False))

    def _branch(self, key: str | None, value: dict[str, Any] | list[Any], depth: int) -> Node:
        pairs = (
            [(str(name), each) for name, each in value.items()]
            if isinstance(value, dict)
            else [(str(n), each) for n, each in enumerate(value)]
        )
        node = Node(
            key,
            "object" if isinstance(value, dict) else "array",
            size=len(pairs),
            is_open=depth < OPEN_TO and len(pairs) <= 50,
        )
        if depth < DEEPEST:
            for name, each in pairs[:MOST_CHILDREN]:
                if self.left <= 0:
                    break
                node.children.append(self.node(name, each, depth + 1))
        node.left_out = len(pairs) - len(node.children)
        return node


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}… ({len(text):,} characters)"
