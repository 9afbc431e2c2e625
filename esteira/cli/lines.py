"""A job for each line of a file: sent in batches, counted on a terminal, and safe to begin again."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from esteira.cli.options import json_value
from esteira.cli.session import console, print_json
from esteira.errors import EsteiraError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from esteira import Client, Enqueued, NewJob

BATCH = 1000
_WORDS = {
    "enqueued": "enqueued", "existing": "answered by a live job", "replaced": "took the place of a live job",
    "replayed": "enqueued before", "unique_conflict": "refused", "idempotency_mismatch": "refused",
}  # fmt: skip


@dataclass(frozen=True)
class Lines:
    """Lines of payloads, and what their jobs have in common: the task, and further fields of NewJob.

    An idempotency key among them becomes one for each line: KEY:1, KEY:2, …
    """

    file: BinaryIO
    task: str
    fields: dict[str, Any]

    def jobs(self) -> Iterator[tuple[int, NewJob]]:
        """Read the jobs with the numbers of their lines; empty lines are none. Raises InvalidInput."""
        from esteira import NewJob

        key = self.fields["idempotency_key"]
        for number, line in enumerate(self.file, start=1):
            if line.strip():
                payload = json_value(line, f"line {number}")
                keys = {"idempotency_key": f"{key}:{number}"} if key else {}
                yield number, NewJob(self.task, payload, **{**self.fields, **keys})


async def enqueue_lines(client: Client, lines: Lines, *, as_json: bool) -> int:
    """Enqueue them all, printing an id a line, and say what became of them; returns how many were refused.

    Raises EsteiraError that says from which line on nothing is enqueued.
    """
    outcomes: Counter[str] = Counter()
    reader = _Reader(lines)
    with _counter() as count:
        # In a thread: while a slow pipe is waited for, notifications still go out.
        while batch := await asyncio.to_thread(reader.next_batch):
            try:
                answers = await client.enqueue_each([job for _, job in batch])
            except EsteiraError as error:
                raise type(error)(f"from line {batch[0][0]} on nothing is enqueued: {error}") from None
            _print(batch, answers, as_json=as_json)
            outcomes.update(_WORDS[answer.outcome] for answer in answers)
            count(outcomes.total())
    if reader.error is not None:
        raise InvalidInput(f"{reader.error}; from there on nothing is enqueued")
    told = ", ".join(f"{number:,} {outcome}" for outcome, number in outcomes.items())
    typer.echo(f"esteira: {outcomes.total():,} lines{': ' if told else ''}{told}", err=True)
    return outcomes["refused"]


class _Reader:
    """Read batches; what comes before a bad line is still a batch."""

    def __init__(self, lines: Lines) -> None:
        self._jobs = lines.jobs()
        self.error: InvalidInput | None = None

    def next_batch(self) -> list[tuple[int, NewJob]]:
        batch: list[tuple[int, NewJob]] = []
        try:
            for job in islice(self._jobs, BATCH):
                batch.append(job)  # noqa: PERF402 - what came before the bad line is kept
        except InvalidInput as error:
            self.error = error
        return batch


def _print(batch: Sequence[tuple[int, NewJob]], answers: Sequence[Enqueued], *, as_json: bool) -> None:
    for (number, _), answer in zip(batch, answers, strict=True):
        if as_json:
            print_json({"line": number, "id": answer.id, "outcome": answer.outcome})
        elif not answer.refused:
            typer.echo(answer.id)
        if answer.refused:
            why = "has its unique key" if answer.outcome == "unique_conflict" else "used its idempotency key before"
            typer.echo(f"esteira: line {number} is refused: job {answer.id} {why}", err=True)


@contextmanager
def _counter() -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many lines are done and how fast; give what tells the number."""
    from rich.progress import Progress, SpinnerColumn, TextColumn

    screen = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} jobs"), TextColumn("{task.fields[rate]}", style="dim"))
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("", total=None, rate="")

        def tell(done: int) -> None:
            speed = progress.tasks[0].speed
            progress.update(task, completed=done, rate="" if speed is None else f"{speed:,.0f}/s")

        yield tell
