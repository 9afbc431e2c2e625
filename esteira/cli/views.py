"""What the commands draw: a job, a list of jobs, a list of workers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from esteira.cli.text import duration, plain, rough, since, word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.cli.report import JobReport
    from esteira.job import Attempt, Job, JobError
    from esteira.overview import Worker

# Narrower than this, a list shows what identifies a job and how it is, and leaves the rest out.
WIDE = 110
RESULT_LINES = 24


def job_view(report: JobReport) -> RenderableType:
    """Draw one job with its steps, attempts, error or result."""
    parts: list[RenderableType] = [_title(report), _facts(report), _progress(report)]
    if report.steps or _runs_a_step(report):
        parts.append(_steps(report))
    error = _words(report.error) if report.status != "completed" else ""
    if report.attempts:
        parts.append(_attempts(report.attempts, error))
    if error:
        parts += [Text.assemble(("error  ", "bold red"), plain(error)), *_traceback(report.attempts, error)]
    parts += [Text.assemble(("warning  ", "bold yellow"), plain(warning.detail)) for warning in report.warnings]
    if not report.done and report.explanation.code != "running":
        parts.append(Text.assemble(("why  ", "bold"), plain(report.explanation.detail)))
    if report.status == "completed" and report.result is not None:
        parts.append(_result(report.result))
    return Group(*parts)


def jobs_view(jobs: Sequence[Job], width: int) -> RenderableType:
    """Draw a list of jobs for a terminal of `width` columns."""
    if not jobs:
        return Text("no such jobs", style="dim")
    now = datetime.now(UTC)
    wide = width >= WIDE
    table = _table("id", "status", "task", "done", "age", *(("failures", "queue", "note") if wide else ()))
    for job in jobs:
        age = Text(rough(since(job.created_at, now)))
        always = (Text(str(job.id)), word(job.status), plain(job.task), Text(f"{job.progress:.0%}"), age)
        extra = (Text(f"{job.failures}/{job.max_attempts}"), plain(job.queue), _note(job, now))
        table.add_row(*always, *(extra if wide else ()))
    return table


def workers_view(workers: Sequence[Worker], width: int) -> RenderableType:
    """Draw a list of workers for a terminal of `width` columns."""
    if not workers:
        return Text("no worker has been here in the last day; start one: esteira worker --tasks MODULE")
    wide = width >= WIDE
    extra_columns = ("engines", "version", "queues", "tasks") if wide else ()
    table = _table("id", "state", "where", "running", "beat", *extra_columns)
    for worker in workers:
        always = (
            Text(str(worker.id)),
            word(worker.state),
            plain(f"{worker.hostname}:{worker.pid}"),
            Text(f"{worker.running}/{worker.slots}"),
            Text(rough(worker.silent_for_seconds)),
        )
        queues = "all" if worker.queues is None else ", ".join(worker.queues)
        extra = (Text(str(worker.engines)), plain(worker.version), plain(queues), plain(", ".join(worker.tasks)))
        table.add_row(*always, *(extra if wide else ()))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        # An id that is cut is worth nothing.
        table.add_column(column, no_wrap=True, overflow="ellipsis", min_width=36 if column == "id" else None)
    return table


def _title(job: Job) -> Text:
    return Text.assemble(word(job.status), "  ", plain(job.task, "bold"), "  ", (str(job.id), "dim"))


def _facts(job: Job) -> Text:
    failures = f"failures {job.failures}/{job.max_attempts}"
    facts = [f"queue {job.queue}", f"priority {job.priority}", f"attempt {job.attempt}", failures]
    if job.crashes:
        facts.append(f"crashes {job.crashes}")
    if job.generation > 1:
        facts.append(f"life {job.generation}")
    if job.execution_time_seconds is not None:
        facts.append(f"{'ran' if job.done else 'running for'} {duration(job.execution_time_seconds)}")
    if job.reason is not None:
        facts.append(f"reason {job.reason}")
    return plain(" · ".join(facts), "dim")


def _progress(job: Job) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    note = plain(job.progress_message) if job.progress_message and not job.done else Text()
    row.add_row(
        ProgressBar(total=1, completed=job.progress, width=40, complete_style="blue", finished_style="green"),
        Text(f"{job.progress:>4.0%}"),
        note,
    )
    return row


def _runs_a_step(report: JobReport) -> bool:
    finished = {None, *(step.name for step in report.steps)}
    return report.status == "running" and report.current_step not in finished


def _steps(report: JobReport) -> RenderableType:
    rows = Table.grid(padding=(0, 2, 0, 0))
    for step in report.steps:
        rows.add_row(Text("✓", style="green"), plain(step.name), Text(duration(step.duration_seconds), style="dim"))
    if _runs_a_step(report):
        rows.add_row(Text("▸", style="bold blue"), plain(report.current_step, "bold"), Text("now", style="dim"))
    return Padding(rows, (0, 0, 0, 2), expand=False)


def _words(error: JobError | None) -> str:
    return "" if error is None else f"{error.type}: {error.message}"


def _attempts(attempts: Sequence[Attempt], shown_below: str) -> RenderableType:
    rows = Table.grid(padding=(0, 2, 0, 0))
    for attempt in attempts:
        error = _words(attempt.error)
        ran = duration(since(attempt.started_at, attempt.finished_at))
        what = (Text(f"attempt {attempt.attempt}"), plain(attempt.outcome), Text(f"after {ran}", style="dim"))
        rows.add_row(*what, plain("" if error == shown_below else error, "red"))
    return Padding(rows, (0, 0, 0, 2), expand=False)


def _traceback(attempts: Sequence[Attempt], error: str) -> list[RenderableType]:
    """Draw the traceback of the last attempt that failed so, without its last line, which repeats the error."""
    told = (attempt.traceback for attempt in reversed(attempts) if _words(attempt.error) == error)
    text = (next(told, None) or "").rstrip()
    if text.endswith(error):
        text = text[: text.rfind("\n", 0, len(text) - len(error)) + 1].rstrip()
    return [Padding(plain(text, "dim"), (0, 0, 0, 2), expand=False)] if text else []


def _result(result: Any) -> RenderableType:
    lines = json.dumps(result, indent=2, ensure_ascii=False).splitlines()
    cut = [*lines[:RESULT_LINES], f"… {len(lines) - RESULT_LINES} more lines: --json shows all"]
    return Text.assemble(("result  ", "bold green"), plain("\n".join(lines if len(lines) <= RESULT_LINES else cut)))


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
