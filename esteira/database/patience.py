"""When a statement is sent again, and for how long."""

from __future__ import annotations

from typing import Any

from tenacity import retry_if_exception, stop_after_delay, wait_random_exponential

from esteira.database.sqlstates import is_transient, translate
from esteira.errors import DatabaseUnavailable, EsteiraError

_TRANSIENT_SECONDS = 5.0


def patiently(patience: float) -> dict[str, Any]:
    """Return tenacity's arguments.

    Transient errors are always tried again, an absent database for `patience` seconds.
    """
    return {
        "retry": retry_if_exception(lambda error: is_worth_another_try(error, patience)),
        "wait": wait_random_exponential(multiplier=0.05, max=2),
        "stop": stop_after_delay(patience or _TRANSIENT_SECONDS),
        "reraise": True,
    }


def is_worth_another_try(error: BaseException, patience: float) -> bool:
    """Tell whether the statement may succeed when it is sent again, within that patience (seconds)."""
    cause = error.__cause__ if isinstance(error, EsteiraError) and error.__cause__ else error
    return is_transient(cause) or (patience > 0 and isinstance(translate(cause), DatabaseUnavailable))
