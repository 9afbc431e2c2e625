"""Options and arguments that several commands share, and how values are read from them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from esteira.errors import ConfigurationError, InvalidInput


def option(text: str, *flags: str, **rest: Any) -> Any:
    """Describe an option, whose default is in its text or is none."""
    return typer.Option(*flags, help=text, show_default=False, **rest)


DatabaseUrl = Annotated[
    str | None, option("Which database. (default: ESTEIRA_DATABASE_URL)", "--database-url", metavar="URL")
]
Json = Annotated[bool, option("Print JSON, and nothing else, on stdout.", "--json")]
JobId = Annotated[UUID, typer.Argument(metavar="ID", help="The job.", show_default=False)]
Tasks = Annotated[
    list[str] | None,
    option("A module that declares tasks, importable from here. Several: --tasks A B, or A,B.", metavar="MODULE"),
]
MoreTasks = Annotated[
    list[str] | None, typer.Argument(metavar="MODULE", help="Further modules after --tasks.", show_default=False)
]


def split(values: Iterable[str] | None) -> tuple[str, ...] | None:
    """Read a repeated option that takes commas as well; None where it was not given."""
    parts = tuple(part.strip() for value in values or () for part in value.split(",") if part.strip())
    return parts or None


def modules(tasks: list[str] | None, more: list[str] | None) -> tuple[str, ...] | None:
    """Read `--tasks MODULE …`. Raises ConfigurationError where modules stand without the option."""
    if more and not tasks:
        raise ConfigurationError(f"what is {more[0]}? Task modules follow --tasks: --tasks {' '.join(more)}")
    return split([*(tasks or ()), *(more or ())])


def moment(text: str | None) -> datetime | None:
    """Read a time of RFC 3339, which names its zone. Raises ConfigurationError."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f'"{text}" is not a time: write 2030-01-31T09:00Z or 2030-01-31T09:00+02:00') from None
    if when.tzinfo is None:
        raise ConfigurationError(f'"{text}" names no time zone: write {text}Z for UTC, or {text}+02:00')
    return when


def json_value(text: str) -> Any:
    """Read JSON, from stdin where the text is "-". Raises InvalidInput."""
    from pydantic_core import from_json

    raw = typer.get_text_stream("stdin").read() if text == "-" else text
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput(f"the payload is not JSON ({error}): write it as in '{{\"id\": 1}}'") from None
