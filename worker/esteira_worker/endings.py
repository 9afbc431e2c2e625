"""How an attempt can end, and what an exception says about it."""

from __future__ import annotations

import signal
import traceback
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from pydantic import ValidationError

from esteira import ConfigurationError, Fail, LeaseLost, Snooze, Task
from esteira.encoding import encode
from esteira.errors import InvalidInput
from esteira.misfit import misfit
from esteira.signature import Signature

_LONGEST_LOGGED = 500
_LONGEST_MESSAGE = 10_000
_LONGEST_TRACEBACK = 30_000
# Postgres ends the connection on a message of 1 GB, and takes no jsonb of 256 MB.
_LARGEST_RESULT = 100_000_000


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned; `result` is JSON text, `result_error` says why it could not be had."""

    result: str
    result_error: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised. `error`: {type, message}; `outcome`: failed or timed_out."""

    error: str
    traceback: str | None
    retryable: bool
    outcome: str = "failed"


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler asked to be put back."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The handler stopped because somebody cancelled the job."""


@dataclass(frozen=True, slots=True)
class Released:
    """The worker shuts down; the job goes back uncharged."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is left to write: the completing transaction did."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing may be written: another attempt holds the job by now."""


Ending = Completed | Failed | Snoozed | Cancelled | Released | Settled | Lost


def completed(value: Any, signature: Signature) -> Completed:
    """Return the ending of a handler that returned this value. A finish never fails because of its data."""
    if value is None and signature.may_return_none:
        return _NOTHING
    try:
        text = encode(value)
        signature.check_result(text)
    except InvalidInput as error:
        return unstorable(str(error))
    if len(text) > _LARGEST_RESULT:
        return unstorable(f"its {len(text):,} characters are more than {_LARGEST_RESULT:,}; keep it in an object store")
    return Completed(text)


def unstorable(why: str) -> Completed:
    """Return the ending of a handler whose result Postgres cannot take."""
    return Completed("null", clean(why, _LONGEST_MESSAGE))


def ending_of(error: BaseException, task: Task[..., Any]) -> Ending:
    """Return what an exception of the handler means for its job."""
    if isinstance(error, LeaseLost):
        return Lost()
    if isinstance(error, Snooze):
        return Snoozed(error.delay)
    # A misused step or transaction is a defect of the handler: no further attempt mends it.
    hopeless = isinstance(error, (Fail, ConfigurationError, *task.policy.retry.never_on))
    return failed(error, retryable=not hopeless)


def bad_payload(error: ValidationError) -> Failed:
    """Return the ending of a job whose payload does not fit its task: no further attempt can mend that."""
    return Failed(_error("InvalidPayload", misfit(error)), None, retryable=False)


def timed_out(seconds: float) -> Failed:
    """Return the ending of an attempt that took too long."""
    message = f"it ran longer than its timeout of {seconds:g} s"
    return Failed(_error("TimedOut", message), None, retryable=True, outcome="timed_out")


def process_died(code: int) -> Failed:
    """Return the ending of an attempt whose process ended under it."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
    return Failed(_error("ProcessDied", f"the process that ran it {how}"), None, retryable=True)


def failed(error: BaseException, *, retryable: bool) -> Failed:
    """Return the ending of a handler that raised."""
    try:
        text = "".join(traceback.format_exception(error))
    except BaseException as second:  # noqa: BLE001 - somebody's exception: its job has to be settled all the same
        text = f"(its traceback cannot be had: {type(second).__name__})"
    return Failed(_error(type(error).__name__, _message(error)), clean(text, _LONGEST_TRACEBACK), retryable)


def shown(error: str) -> dict[str, str]:
    """Return what the log says of an error {type, message}, JSON text."""
    fields = orjson.loads(error)
    return {"error": fields["type"], "message": clean(fields["message"], _LONGEST_LOGGED)}


def clean(text: str, longest: int) -> str:
    """Make text storable: no NUL, no lone surrogates, and not endless."""
    text = text.replace("\0", "\\0").encode(errors="backslashreplace").decode()
    return text if len(text) <= longest else f"{text[: longest // 2]}\n…\n{text[-longest // 2 :]}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:  # noqa: BLE001 - somebody's __str__: without a message the job could not be settled
        return f"(its message cannot be had: {type(second).__name__})"


def _error(kind: str, message: str) -> str:
    return orjson.dumps({"type": clean(kind, 200), "message": clean(message, _LONGEST_MESSAGE)}).decode()


_NOTHING = Completed("null")
