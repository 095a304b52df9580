"""An app whose catch-all task takes any job."""

from __future__ import annotations

from typing import Any

from pgq import App, Context

app = App()


@app.task("*")
async def anything(ctx: Context, payload: Any) -> dict[str, Any]:
    return {"task": ctx.task, "payload": payload}
