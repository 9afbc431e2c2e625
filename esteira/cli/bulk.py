"""Acts on all jobs that a filter finds: counted, confirmed, then done in batches behind a progress bar."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from esteira.cli.session import confirm, console, print_json
from esteira.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from esteira import Acted, Client, JobFilter
    from esteira.cli.acts import Manner

# As many jobs as a commit takes: a fraction of a second, so that the bar moves and an interrupt is heard.
BATCH = 1000


@dataclass(frozen=True)
class Bulk:
    """An act on many jobs: its name, its past, the statuses that it applies to, what makes it miss some."""

    verb: str
    past: str
    statuses: tuple[str, ...]
    misses: str


CANCEL = Bulk("cancel", "cancelled", ("queued", "waiting", "running"), "had ended by then")
RETRY = Bulk("retry", "retried", ("dead", "cancelled"), "had changed by then, or a live job has their unique key")
DISCARD = Bulk("discard", "discarded", ("dead",), "had changed by then")


async def act_on_many(client: Client, bulk: Bulk, wanted: JobFilter, how: Manner) -> None:
    """Do it, once it is confirmed, and say what was done. Raises ConfigurationError where nobody can be asked."""
    wanted = _applicable(bulk, wanted)
    counts = {status: await client.count(wanted.within((status,))) for status in wanted.status or ()}
    found = sum(counts.values())
    total = min(found, how.limit or found)
    counted = _counted(counts, total, found)
    changed = asked = 0
    if total and not how.dry_run:
        confirm(f"{bulk.verb} {counted}", yes=how.yes)
        with _bar(f"{bulk.verb}: {total:,} jobs", total) as advance:
            async for acted in _batches(client, bulk, wanted, total):
                changed, asked = changed + acted.changed, asked + acted.asked
                advance(acted.matched)
    if how.as_json:
        done = {"matched": total, "changed": changed, "asked": asked, "more": found > total, "dry_run": how.dry_run}
        print_json(done)
    elif how.dry_run:
        typer.echo(f"would {bulk.verb} {counted}")
    else:
        typer.echo(_told(bulk, total, changed, asked))


def _applicable(bulk: Bulk, wanted: JobFilter) -> JobFilter:
    narrowed = wanted.within(bulk.statuses)
    if not narrowed.status:
        can, cannot = " or ".join(bulk.statuses), ", ".join(wanted.status or ())
        raise ConfigurationError(f"only jobs that are {can} can be {bulk.past}, none that are {cannot}")
    return narrowed


def _counted(counts: dict[str, int], total: int, found: int) -> str:
    parts = ", ".join(f"{count:,} {status}" for status, count in counts.items() if count)
    jobs = f"{total:,} {'job' if total == 1 else 'jobs'}"
    if total < found:
        return f"the oldest {jobs} of {found:,} ({parts})"
    return f"{jobs} ({parts})" if parts else jobs


def _told(bulk: Bulk, total: int, changed: int, asked: int) -> str:
    if not total:
        return f"no such job can be {bulk.past}"
    parts = [f"{bulk.past} {changed:,} {'job' if changed == 1 else 'jobs'}"] if changed or not asked else []
    if asked:
        parts.append(f"asked {asked:,} running to stop")
    missed = total - changed - asked
    return ", ".join(parts) + (f"; {missed:,} {bulk.misses}" if missed > 0 else "")


async def _batches(client: Client, bulk: Bulk, wanted: JobFilter, total: int) -> AsyncIterator[Acted]:
    if bulk is RETRY:
        # What is retried and soon dead again is not retried once more.
        until = await client.database.fetchval("select esteira.now()")
        wanted = replace(wanted, finished_before=min(wanted.finished_before or until, until))
    many = {"cancel": client.cancel_many, "retry": client.retry_many, "discard": client.discard_many}[bulk.verb]
    # Running jobs that were asked to stop are found again, so they come last, and once.
    at_rest = wanted.within([status for status in bulk.statuses if status != "running"])
    more = bool(at_rest.status)
    while more and total > 0:
        acted = await many(at_rest, limit=min(BATCH, total))
        yield acted
        total -= acted.matched
        more = acted.more and acted.changed > 0
    running = _among(wanted.status, "running")
    if running and total > 0:
        yield await many(wanted.within(running), limit=total)


def _among(statuses: Sequence[str] | None, status: str) -> tuple[str, ...]:
    return (status,) if statuses is not None and status in statuses else ()


@contextmanager
def _bar(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal where it takes more than a batch; give what moves it."""
    from rich.progress import Progress

    screen = console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal or total <= BATCH) as progress:
        task = progress.add_task(text, total=total)
        yield lambda done: progress.advance(task, done)
