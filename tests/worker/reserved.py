"""An app with a task whose name is reserved, and a catch-all."""

from __future__ import annotations

from typing import Any

from pgq import App

app = App()


@app.task("pgq.something")
async def something(n: int) -> dict[str, Any]:
    return {"n": n}


@app.task("*")
async def anything(payload: Any) -> None:
    raise AssertionError("not for names that begin with pgq.")
