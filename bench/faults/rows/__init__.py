"""The rows, one to a module."""

from __future__ import annotations

from faults.row import Row
from faults.rows import black_hole, dead_listener, kill_storm

ROWS: dict[str, Row] = {
    row.name: row for row in (kill_storm.ROW, black_hole.ROW, dead_listener.ROW)
}
