"""What the commands draw of many: jobs, workers, queues, tasks. A narrow terminal gets fewer columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from esteira.cli.text import plain, rough, since, word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from esteira.job import Job
    from esteira.overview import DeclaredTask, Queue, Worker

# Narrower than this, a list shows what identifies a thing and how it is, and leaves the rest out.
WIDE = 110
_NUMBERS = ("ready", "scheduled", "running", "waiting", "dead", "workers", "attempts")


def jobs_view(jobs: Sequence[Job], width: int) -> RenderableType:
    """Draw a list of jobs for a terminal of `width` columns."""
    if not jobs:
        return Text("no such jobs", style="dim")
    now = datetime.now(UTC)
    if width < WIDE:
        return Group(*(part for job in jobs for part in _job_lines(job, now)))
    table = _table("id", "status", "task", "done", "age", "failures", "queue", "note")
    for job in jobs:
        age = Text(rough(since(job.created_at, now)))
        facts = (Text(str(job.id)), word(job.status), plain(job.task), Text(f"{job.progress:.0%}"), age)
        table.add_row(*facts, Text(f"{job.failures}/{job.max_attempts}"), plain(job.queue), _note(job, now))
    return table


def _job_lines(job: Job, now: datetime) -> list[Text]:
    """Draw a job for a narrow terminal: its id and how it is, and on a line below what makes it worth a look."""
    status = word(job.status)
    status.pad_right(9 - len(status))
    age = rough(since(job.created_at, now))
    first = Text.assemble(str(job.id), "  ", status, f"  {job.progress:>4.0%}  {age:<6}  ", plain(job.task))
    parts = [_note(job, now)]
    if job.failures:
        parts.append(Text(f"failures {job.failures}/{job.max_attempts}"))
    if job.queue != "default":
        parts.append(plain(f"queue {job.queue}"))
    told = Text(" · ").join(part for part in parts if part)
    lines = [first, Text.assemble("  ", told)] if told else [first]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return lines


def workers_view(workers: Sequence[Worker], width: int) -> RenderableType:
    """Draw a list of workers for a terminal of `width` columns."""
    if not workers:
        return Text("no worker has been here in the last day; start one: esteira worker --tasks MODULE")
    wide = width >= WIDE
    extra_columns = ("engines", "version", "queues", "tasks") if wide else ()
    table = _table("id", "state", "where", "running", "free", "beat", "note", *extra_columns)
    for worker in workers:
        always = (
            Text(str(worker.id)),
            word(worker.state),
            plain(f"{worker.hostname}:{worker.pid}"),
            Text(f"{worker.running}/{worker.slots}", justify="right"),
            Text(str(worker.free_slots), justify="right"),
            Text(rough(worker.silent_for_seconds)),
            _trouble(worker),
        )
        queues = "all" if worker.queues is None else ", ".join(worker.queues)
        extra = (Text(str(worker.engines)), plain(worker.version), plain(queues), plain(", ".join(worker.tasks)))
        table.add_row(*always, *(extra if wide else ()))
    return table


def _trouble(worker: Worker) -> Text:
    held = [f"{worker.held_slots} held"] if worker.held_slots else []
    stalled = [f"{len(worker.stalled_engines)} stalled"] if worker.stalled_engines else []
    return Text(", ".join(held + stalled))


def queues_view(queues: Sequence[Queue], width: int) -> RenderableType:
    """Draw a list of queues for a terminal of `width` columns."""
    if not queues:
        return Text("no queue yet: the first job makes one: esteira enqueue TASK")
    wide = width >= WIDE
    counts = ("ready", "scheduled", "running", "waiting", "dead") if wide else ("ready", "scheduled", "running", "dead")
    # Few queues have rules of their own.
    kept = wide and any(queue.keep_finished_seconds or queue.keep_dead_seconds for queue in queues)
    table = _table("queue", *counts, "workers", "oldest", *(("kept, dead",) if kept else ()), "note")
    for queue in queues:
        oldest = "" if queue.oldest_ready_age_seconds is None else rough(queue.oldest_ready_age_seconds)
        table.add_row(
            plain(queue.queue),
            *(_count(name, getattr(queue, name)) for name in (*counts, "workers")),
            Text(oldest),
            *((_kept(queue),) if kept else ()),
            _pause(queue),
        )
    return table


def tasks_view(tasks: Sequence[DeclaredTask], width: int) -> RenderableType:
    """Draw a list of tasks for a terminal of `width` columns."""
    if not tasks:
        return Text("no worker has declared a task yet; start one: esteira worker --tasks MODULE")
    wide = width >= WIDE
    policy = ("priority", "attempts", "timeout", "executor") if wide else ()
    counts = ("ready", "scheduled", "running", "dead", "workers") if wide else ("ready", "running", "dead", "workers")
    table = _table("task", "queue", *policy, *counts, "note")
    for task in tasks:
        rules = (
            Text(task.priority),
            Text(str(task.max_attempts)),
            Text(rough(task.timeout_seconds)),
            Text(task.executor),
        )
        numbers = (_count(name, getattr(task, name)) for name in counts)
        table.add_row(plain(task.task), plain(task.queue), *(rules if wide else ()), *numbers, _pause(task))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        # An id that is cut is worth nothing.
        width = 36 if column == "id" else None
        table.add_column(column, no_wrap=True, overflow="ellipsis", min_width=width)
        if column in _NUMBERS:
            table.columns[-1].justify = "right"
    return table


def _count(name: str, number: int) -> Text:
    style = "dim" if number == 0 else {"dead": "bold red", "running": "bold blue"}.get(name, "")
    return Text(f"{number:,}", style=style)


def _kept(queue: Queue) -> Text:
    lengths = (queue.keep_finished_seconds, queue.keep_dead_seconds)
    return Text(", ".join("-" if seconds is None else rough(seconds) for seconds in lengths))


def _pause(what: Queue | DeclaredTask) -> Text:
    if what.paused_at is not None:
        return Text(f"paused {rough(since(what.paused_at, datetime.now(UTC)))}", style="yellow")
    return Text("no worker", style="bold yellow") if what.ready and not what.workers else Text()


def _note(job: Job, now: datetime) -> Text:
    if job.status == "queued" and job.run_at > now:
        return Text(f"in {rough(since(now, job.run_at))}")
    if job.cancel_requested_at is not None and not job.done:
        return Text("asked to stop", style="yellow")
    if job.status == "running":
        return plain(": ".join(part for part in (job.current_step, job.progress_message) if part))
    if job.status == "dead" and job.error is not None:
        return plain(f"{job.error.type}: {job.error.message}".split("\n")[0], "red")
    return Text()
