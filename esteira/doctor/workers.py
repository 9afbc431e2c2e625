"""Checks of the workers: who is there, who was lost, which versions they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esteira.doctor import queries
from esteira.doctor.finding import Finding, count, duration, named

if TYPE_CHECKING:
    from esteira.doctor.site import Site

LATELY_SECONDS = 3600.0
_START = "esteira worker --tasks MODULE"


async def states(site: Site) -> list[Finding]:
    """Who works, who is silent or leaving, who was lost within the hour."""
    workers = await site.rows(queries.WORKERS)
    alive = [worker for worker in workers if worker["state"] == "alive"]
    slots, running = (sum(worker[name] for worker in alive) for name in ("slots", "running"))
    detail = f"{count(len(alive), 'worker')} alive, {running:,} of {slots:,} slots busy"
    found = [Finding(check="workers", level="ok", detail=detail)]
    if not alive:
        found = [Finding(check="workers", level="note", detail="no worker is alive: jobs wait", action=_START)]
    found += [_silent(worker) for worker in workers if worker["state"] == "silent"]
    found += [_troubled(worker) for worker in alive if worker["trouble"]]
    draining = [_name(worker) for worker in workers if worker["state"] == "draining"]
    if draining:
        detail = f"{count(len(draining), 'worker')} leave once their jobs are done: {named(draining)}"
        found.append(Finding(check="workers", level="note", detail=detail))
    lost = [worker for worker in workers if worker["state"] == "lost" and worker["ended_seconds"] <= LATELY_SECONDS]
    if lost:
        names = named([_name(worker) for worker in lost])
        detail = f"{count(len(lost), 'worker')} lost within the hour, their jobs were taken back: {names}"
        action = "look for the reason in the logs of their machines: memory (OOM), power, network"
        found.append(Finding(check="workers", level="warning", detail=detail, action=action))
    return found


def _silent(worker: Any) -> Finding:
    return Finding(
        check="workers",
        level="warning",
        detail=f"the worker {_name(worker)} has been silent for {duration(worker['silent_seconds'])}"
        f" and holds {count(worker['running'], 'job')}",
        action=f"see whether its process runs; if it is gone, any worker takes its jobs back: {_START}",
    )


def _troubled(worker: Any) -> Finding:
    return Finding(
        check="workers",
        level="warning",
        detail=f"the worker {_name(worker)} has {worker['free_slots']} free slots. {worker['trouble']}",
        action=f"{_START}; esteira drain {worker['id']}",
    )


def _name(worker: Any) -> str:
    return f"{worker['hostname']}:{worker['pid']}"


async def versions(site: Site) -> list[Finding]:
    """Whether all living workers run this version of Esteira."""
    from esteira import __version__

    workers = [worker for worker in await site.rows(queries.WORKERS) if worker["state"] in ("alive", "draining")]
    others = sorted({worker["version"] for worker in workers} - {__version__})
    if others:
        detail = f"this is Esteira {__version__}, and workers run {named(others)}"
        action = f"pip install esteira=={__version__}, where they run"
        return [Finding(check="versions", level="note", detail=detail, action=action)]
    return [Finding(check="versions", level="ok", detail=f"all run Esteira {__version__}")] if workers else []
