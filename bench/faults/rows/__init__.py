"""The rows, one to a module."""

from __future__ import annotations

from faults.row import Row
from faults.rows import (
    black_hole,
    dead_listener,
    kill_storm,
    lost_wakeup,
    notify_cost,
    notify_full,
    zombie,
)

ROWS: dict[str, Row] = {
    module.ROW.name: module.ROW
    for module in (
        kill_storm,
        zombie,
        black_hole,
        dead_listener,
        lost_wakeup,
        notify_cost,
        notify_full,
    )
}
