"""Options and arguments that several commands share, and how values are read from them."""

import inspect
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, Any
from uuid import UUID

import typer

from esteira.errors import ConfigurationError, InvalidInput


def option(text: str, *flags: str, **rest: Any) -> Any:
    """Describe an option, whose default is in its text or is none; with its flags named and no metavar, a switch."""
    if flags:
        rest.setdefault("metavar", "")
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
Yes = Annotated[bool, option("Do not ask.", "--yes", "-y")]


def spread(**groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command whole groups of options: a parameter is what its group makes of them.

    `@spread(wanted=job_filter)` puts the parameters of job_filter in the place of the command's parameter `wanted`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command)
        options = {name: inspect.signature(group).parameters for name, group in groups.items()}
        parameters = [
            part for given in own.parameters.values() for part in options.get(given.name, {given.name: given}).values()
        ]

        @wraps(command)
        def run(**given: Any) -> None:
            for name, group in groups.items():
                given[name] = group(**{part: given.pop(part) for part in options[name]})
            command(**given)

        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {part.name: part.annotation for part in parameters}
        return run

    return decorate


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


def past(text: str | None) -> datetime | None:
    """Read a time, or a duration as so long ago. Raises ConfigurationError."""
    from esteira.durations import to_timedelta

    try:
        return moment(text)
    except ConfigurationError:
        # What begins as a date does was meant to be one.
        if text is None or text[4:5] == "-":
            raise
    try:
        return datetime.now(UTC) - to_timedelta(text)
    except (ConfigurationError, OverflowError):
        raise ConfigurationError(f'"{text}" is no time: write 2030-01-31T09:00Z, or how long ago: 2h, 7d') from None


def json_value(text: str | bytes, what: str = "the payload") -> Any:
    """Read JSON, from stdin where the text is "-". Raises InvalidInput."""
    from pydantic_core import from_json

    raw = typer.get_text_stream("stdin").read() if text == "-" else text
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput(f"{what} is not JSON ({error}): write it as in '{{\"id\": 1}}'") from None


def json_object(text: str | None, what: str) -> dict[str, Any] | None:
    """Read a JSON object. Raises InvalidInput."""
    if text is None:
        return None
    value = json_value(text, what)
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} is no JSON object: write it as in '{{\"customer\": 7}}'")
    return value
