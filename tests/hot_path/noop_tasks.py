"""The task of the guards' worker."""

from __future__ import annotations

from esteira import App

app = App("t")


@app.task()
async def noop() -> None: ...
