"""Which jobs: the filter options that lists and bulk acts share."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from esteira.cli.options import option, past, split
from esteira.errors import ConfigurationError

if TYPE_CHECKING:
    from esteira.job_filter import JobFilter


def _which(text: str, *flags: str, **rest: Any) -> Any:
    return option(text, *flags, rich_help_panel="Which jobs", **rest)


def job_filter(
    status: Annotated[
        list[str] | None,
        _which("queued, running, waiting, completed, dead, cancelled; repeat it, or use commas.", metavar="STATUS"),
    ] = None,
    queue: Annotated[str | None, _which("Of this queue.", metavar="NAME")] = None,
    task: Annotated[str | None, _which("Of this task.", metavar="NAME")] = None,
    tag: Annotated[list[str] | None, _which("With this tag; several: with all of them.", metavar="TAG")] = None,
    metadata: Annotated[
        list[str] | None, _which("With this in their metadata; repeat it for several.", metavar="KEY=VALUE")
    ] = None,
    worker: Annotated[UUID | None, _which("Which this worker runs, or ran last.", metavar="ID")] = None,
    stuck: Annotated[bool, _which("That run too long, or that nobody claims.", "--stuck")] = False,
    created_after: Annotated[
        str | None, _which("A time (2030-01-31T09:00Z), or how long ago: 2h, 7d.", metavar="TIME")
    ] = None,
    created_before: Annotated[str | None, _which("Likewise.", metavar="TIME")] = None,
    finished_after: Annotated[str | None, _which("Likewise.", metavar="TIME")] = None,
    finished_before: Annotated[str | None, _which("Likewise.", metavar="TIME")] = None,
) -> "JobFilter":
    """Return what the options say. Raises ConfigurationError."""
    from esteira.job_filter import JobFilter

    return JobFilter(
        status=_statuses(status),
        queue=queue,
        task=task,
        tags=split(tag),
        metadata=dict(map(_pair, metadata)) if metadata else None,
        worker=worker,
        stuck=stuck,
        created_after=past(created_after),
        created_before=past(created_before),
        finished_after=past(finished_after),
        finished_before=past(finished_before),
    )


def _statuses(given: list[str] | None) -> tuple[str, ...] | None:
    from typing import get_args

    from esteira.job import Status

    wanted = split(given)
    for unknown in set(wanted or ()) - set(get_args(Status)):
        raise ConfigurationError(f'"{unknown}" is no status: use one of {", ".join(get_args(Status))}')
    return wanted


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not (found and name):
        raise ConfigurationError(f'"{text}" is no metadata: write KEY=VALUE')
    return name, value
