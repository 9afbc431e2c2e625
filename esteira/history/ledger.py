"""What clients and handlers saw, in a file outside the database: no crash and no rollback takes it back."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args
from uuid import UUID, uuid4

import orjson

from esteira.encoding import encode
from esteira.errors import ConfigurationError, DatabaseUnavailable, EsteiraError, InvalidInput

T = TypeVar("T")
Kind = Literal[
    # of clients
    "sent",  # a request goes out: request; key, body (its hash)
    "acknowledged",  # it was answered: request, job_id
    "refused",  # it was answered with a refusal: request
    "unknown",  # no answer came: it may or may not have been stored
    "rolled_back",  # the transaction that it belonged to was rolled back: request, or job_id
    "cancelled",  # a cancel was answered: job_id, answer (cancelled, or running: it was asked to stop)
    # of handlers
    "began",  # an attempt runs: job_id, attempt
    "ended",  # it is over: job_id, attempt; error
    "step_ran",  # a step's function was called: job_id, attempt, name
    "effect_committed",  # leaving the completing transaction said that it is committed: job_id, attempt
    # of whoever disturbs
    "fault",  # something was broken on purpose: for a moment nobody is expected to be quick
]
KINDS = frozenset(get_args(Kind))
# Of each line.
_BEGIN = b'{"at":'


class Running(Protocol):
    """What a handler's context tells of its attempt: Context and SyncContext do."""

    @property
    def job_id(self) -> UUID:
        """The job."""

    @property
    def attempt(self) -> int:
        """The number of this execution."""


class Ledger:
    """Append lines to a file that any number of processes and threads share.

    Each line is one write at the end of the file, so that lines never mix, and a kill -9 loses none that `note` has
    returned from. The file is made when first needed. Keep it on a disk of this machine: network file systems do not
    append atomically.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file: int | None = None

    def close(self) -> None:
        """Close the file; the next note opens it again."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def note(self, kind: Kind, **fields: Any) -> None:
        """Write one line: what happened, and with what. Fields are those that Kind names, and any further ones.

        Raises ConfigurationError for a kind that no ledger knows, OSError where the file cannot be written.
        """
        if kind not in KINDS:
            raise ConfigurationError(f'a ledger knows no "{kind}": it is one of {", ".join(get_args(Kind))}')
        line = orjson.dumps({"at": time.time(), "kind": kind, "pid": os.getpid(), **fields}) + b"\n"
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        written = os.write(self._file, line)
        if written != len(line):
            raise OSError(f"{self.path} took {written} of {len(line)} bytes of a line: is the disk full?")

    @contextmanager
    def request(self, key: str | None = None, body: object = None) -> Iterator[Request]:
        """Send a request in this block: enqueue with `request.metadata`, then call `request.acknowledged(job_id)`.

        The checker finds the request's job by metadata.request. key: its idempotency key; body: what is asked for, to
        notice another request with the same key. A refusal by Esteira is noted as such; whatever else the block raises
        leaves it unknown whether the job was stored. To ask again for the same, call `request.again()` first.
        """
        request = Request(self, key, body)
        request.note("sent", **request.described())
        try:
            yield request
        except DatabaseUnavailable:
            request.settle("unknown")
            raise
        except EsteiraError:
            request.settle("refused")
            raise
        finally:
            request.settle("unknown")

    @contextmanager
    def attempt(self, ctx: Running) -> Iterator[Attempt]:
        """Run an attempt of a handler in this block: its begin and its end are noted."""
        attempt = Attempt(self, ctx.job_id, ctx.attempt)
        attempt.note("began")
        try:
            yield attempt
        except BaseException as error:
            attempt.note("ended", error=type(error).__name__)
            raise
        attempt.note("ended")

    def cancelled(self, job_id: UUID | str, answer: str) -> None:
        """Note how a cancel was answered: cancelled, or running where the job was asked to stop."""
        self.note("cancelled", job_id=str(job_id), answer=answer)


@dataclass
class Request:
    """One request of a client. `metadata` goes into the job, merged with the caller's own."""

    ledger: Ledger
    key: str | None = None
    body: object = None
    id: str = field(default_factory=lambda: str(uuid4()))
    outcome: str | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """What the job has to carry to be found again."""
        return {"request": self.id}

    def described(self) -> dict[str, str]:
        """Return what is known of it before it is sent."""
        known = {} if self.key is None else {"key": self.key}
        if self.body is not None:
            known["body"] = sha256(encode(self.body).encode()).hexdigest()[:16]
        return known

    def again(self) -> None:
        """Note that it is sent once more, since no answer came: only safe with a key, or there may be two jobs."""
        self.note("sent", **self.described())

    def acknowledged(self, job_id: UUID | str) -> None:
        """Note that the answer came: this job, or another that has the unique or idempotency key."""
        self.settle("acknowledged", job_id=str(job_id))

    def refused(self, **why: Any) -> None:
        """Note that the answer was a refusal: nothing was stored."""
        self.settle("refused", **why)

    def rolled_back(self, **why: Any) -> None:
        """Note that the caller's transaction, in which it was sent, was rolled back."""
        self.settle("rolled_back", **why)

    def settle(self, outcome: Kind, **fields: Any) -> None:
        """Note how it ended; only the first end counts."""
        if self.outcome is None:
            self.outcome = outcome
            self.note(outcome, **fields)

    def note(self, kind: Kind, **fields: Any) -> None:
        """Write a line about it."""
        self.ledger.note(kind, request=self.id, **fields)


@dataclass(frozen=True)
class Attempt:
    """One running attempt of a handler."""

    ledger: Ledger
    job_id: UUID
    attempt: int

    def note(self, kind: Kind, **fields: Any) -> None:
        """Write a line about it."""
        self.ledger.note(kind, job_id=str(self.job_id), attempt=self.attempt, **fields)

    def step(self, name: str, function: Callable[..., T]) -> Callable[..., T]:
        """Wrap a step's function, plain or asynchronous, so that each time that it really runs is noted."""

        @wraps(function)
        def noted(*given: Any) -> T:
            self.note("step_ran", name=name)
            return function(*given)

        @wraps(function)
        async def noted_async(*given: Any) -> Any:
            self.note("step_ran", name=name)
            return await function(*given)  # type: ignore[misc]

        return noted_async if inspect.iscoroutinefunction(function) else noted  # type: ignore[return-value]

    def effect_committed(self, **fields: Any) -> None:
        """Note that the completing transaction is over, and was said to be committed."""
        self.note("effect_committed", **fields)


@dataclass(frozen=True)
class Line:
    """One line of a ledger, as it was written. job_id, attempt: None where it is about neither."""

    place: int
    at: datetime
    kind: str
    job_id: UUID | None
    attempt: int | None
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        said = " ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"ledger: {self.kind}{f' {self.attempt}' if self.attempt else ''}{f' {said}' if said else ''}"


def read(path: str | os.PathLike[str]) -> Iterator[Line]:
    """Read a ledger. Raises InvalidInput for a line that is none of a ledger's, ConfigurationError for no such file.

    Left out is the piece of a line that a process left which was killed while it wrote.
    """
    try:
        with Path(path).open("rb") as file:
            for place, text in enumerate(file, 1):
                whole = _whole(text)
                if whole:
                    yield _line(path, place, whole)
    except OSError as error:
        raise ConfigurationError(f"the ledger {path} cannot be read: {error.strerror}") from None


def _whole(text: bytes) -> bytes:
    """Return a line without pieces of others before it, nothing for a piece alone, anything else as it is.

    A write that ends with its process may end with a page of the file.
    """
    begin = 0
    while begin >= 0 and _may_be_cut(text[:begin]):
        if _is_json(text[begin:]):
            return text[begin:]
        begin = text.find(_BEGIN, begin + 1)
    return b"" if _may_be_cut(text) and not text.endswith(b"\n") else text


def _may_be_cut(text: bytes) -> bool:
    return text.startswith(_BEGIN) or _BEGIN.startswith(text)


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _line(path: str | os.PathLike[str], place: int, text: bytes) -> Line:
    try:
        fields = orjson.loads(text)
        at, kind, job_id = fields.pop("at"), fields.pop("kind"), fields.pop("job_id", None)
        if kind not in KINDS:
            raise ValueError(f"its kind is {kind!r}")  # noqa: TRY301 - all that is wrong with a line is told below
        when = datetime.fromtimestamp(at, UTC)
        job = None if job_id is None else UUID(job_id)
        return Line(place, when, kind, job, fields.pop("attempt", None), fields)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        shown = text[:80].decode(errors="replace").rstrip()
        raise InvalidInput(f"line {place} of {path} is none of a ledger's ({error}): {shown}") from None
