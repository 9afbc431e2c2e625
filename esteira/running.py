"""A job as the attempt that runs it sees it, and what both kinds of context share."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from tenacity import retry_if_exception, stop_after_attempt, wait_random_exponential

from esteira.encoding import Encoded, encode
from esteira.errors import ConfigurationError, InvalidInput, LeaseLost
from esteira.misfit import misfit
from esteira.outcomes import Outcome
from esteira.retry import Retry
from esteira.signature import return_adapter

# A step may be the work of an hour: its checkpoint waits out a restart of the database.
PATIENCE_SECONDS = 60.0

STEPS = "select name, result from esteira.step where job_id = $1"
SAVE_STEP = "select esteira.save_step($1, $2, $3, $4::jsonb, esteira.now() - $5::interval, $6::real)"
PROGRESS = "select esteira.progress($1, $2, $3::real, $4, $5)"
HOLD = "select esteira.hold($1, $2)"
COMPLETE = "select esteira.complete(array[$1::uuid], array[$2::integer], array[$3::jsonb])"


@dataclass(slots=True)
class Claimed:
    """A claimed job, with (id, attempt) as the fencing token.

    payload: JSON text. timeout: seconds, None where its task says.
    """

    id: UUID
    attempt: int
    queue: str
    task: str
    payload: str
    failures: int
    crashes: int
    timeout: float | None

    def lease_lost(self) -> LeaseLost:
        """Return the error that says so."""
        return LeaseLost(f"attempt {self.attempt} no longer holds job {self.id}; nothing of it is kept")


@dataclass(frozen=True, slots=True)
class Step:
    """A step that begins, and the type of its result."""

    name: str
    returns: TypeAdapter[Any]
    began: float = field(default_factory=time.monotonic)

    def encode(self, value: Any) -> tuple[Encoded, Any]:
        """Return a result as JSON text, and as a replay would read it from there. Raises InvalidInput."""
        text = encode(value)
        return text, self.decode(text)

    def decode(self, text: str) -> Any:
        """Return a result in the type that the step's function declares. Raises InvalidInput."""
        try:
            return self.returns.validate_json(text)
        except ValidationError as error:
            why = misfit(error)
            raise InvalidInput(f'the result of step "{self.name}" is not what its function declares: {why}') from None

    def took(self) -> timedelta:
        """Return how long it has been running."""
        return timedelta(seconds=time.monotonic() - self.began)


class Steps:
    """Remember which steps of a job are finished, and how far that brings a declared pipeline."""

    def __init__(self, declared: Sequence[str]) -> None:
        self._declared = declared
        self._used: set[str] = set()
        self._reached = 0
        self._completing = False
        self.finished: Mapping[str, str] | None = None

    @contextmanager
    def completing(self) -> Iterator[None]:
        """Stand for the open completing transaction: it holds the job's row, so a checkpoint in it waits for itself."""
        self._refuse_while_completing()
        self._completing = True
        try:
            yield
        finally:
            self._completing = False

    def _refuse_while_completing(self) -> None:
        if self._completing:
            raise ConfigurationError("this cannot be done inside ctx.transaction(): finish all steps before it")

    def begin(self, name: str, function: Callable[..., Any]) -> Step:
        """Begin a step.

        Raises ConfigurationError for a name that was used in this run, is not declared, or is none; and for what is
        no function.
        """
        self._refuse_while_completing()
        _require_function(name, function)
        if name in self._used:
            raise ConfigurationError(f'the step "{name}" was used in this run already: each step needs its own name')
        if self._declared and name not in self._declared:
            raise ConfigurationError(f'the step "{name}" is not among the declared ones: {", ".join(self._declared)}')
        if not 1 <= len(name) <= 200 or not is_storable(name):
            raise ConfigurationError(f"the step {name!r} needs a name of 1 to 200 characters")
        self._used.add(name)
        return Step(name, return_adapter(function))

    def remember(self, finished: Mapping[str, str]) -> None:
        """Take the results of earlier attempts, JSON text by name."""
        self.finished = finished
        for name in finished:
            if name in self._declared:
                self.share_after(name)

    def share_after(self, name: str) -> float | None:
        """Return how much of a declared pipeline is done after this step, from 0 to 1; None where none is declared."""
        if not self._declared:
            return None
        # Steps may be left out, or run side by side: the share never falls.
        self._reached = max(self._reached, self._declared.index(name) + 1)
        return self._reached / len(self._declared)


def _require_function(name: str, function: Any) -> None:
    """Raise ConfigurationError where a step was given what its function returned: it has run, or never will."""
    if callable(function):
        return
    if inspect.iscoroutine(function):
        function.close()
    raise ConfigurationError(
        f'the step "{name}" was given a {type(function).__name__}, not a function: write ctx.step("{name}", function)'
        f" without calling it, and partial(function, …) or a lambda for its arguments"
    )


def is_storable(text: str) -> bool:
    """Tell whether PostgreSQL can store the text: no NUL, no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def check_progress(share: float | None, message: str | None) -> None:
    """Raise ConfigurationError for what is no share, InvalidInput for a message that cannot be shown."""
    if share is not None and not 0 <= share <= 1:
        raise ConfigurationError(f"progress is a share from 0 to 1, not {share}: write ctx.progress(done / total)")
    if message is not None and not is_storable(message):
        raise InvalidInput("the message holds a NUL or half a surrogate pair, which PostgreSQL cannot store")


def required(result: str | None) -> str:
    """Return the result of a completing transaction. Raises ConfigurationError where its block set none."""
    if result is None:
        raise ConfigurationError(
            "the block ended without tx.complete(…), which an async task awaits; "
            "for writes that do not end the job use ctx.step_transaction"
        )
    return result


def tries(retry: Retry) -> dict[str, Any]:
    """Return tenacity's arguments for a step's retry. Outcomes, a lost lease and whatever unwinds the task end it."""
    final = (*retry.never_on, Outcome, LeaseLost)
    return {
        "stop": stop_after_attempt(retry.attempts),
        "wait": wait_random_exponential(multiplier=retry.first.total_seconds(), max=retry.max.total_seconds()),
        "retry": retry_if_exception(lambda error: isinstance(error, Exception) and not isinstance(error, final)),
        "reraise": True,
    }
