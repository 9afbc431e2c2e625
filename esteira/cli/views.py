"""What the commands draw of one job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from esteira.cli.text import duration, plain, sentence_of, since, word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.cli.report import JobReport
    from esteira.job import Attempt, Job, JobError

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
        parts.append(Text.assemble(("why  ", "bold"), sentence_of(report.explanation.detail)))
    if report.status == "completed" and report.result is not None:
        parts.append(_result(report.result))
    return Group(*parts)


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
    for _ in range(3):
        # Rich takes room from wherever there are spaces: it broke "after 13 ms".
        rows.add_column(no_wrap=True)
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
