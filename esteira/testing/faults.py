"""Steps that fail as planned."""

from __future__ import annotations

import inspect
from collections import defaultdict, deque
from collections.abc import Callable
from functools import wraps
from typing import Any

from esteira.context import Context
from esteira.errors import ConfigurationError
from esteira.sync_context import SyncContext

Error = BaseException | type[BaseException]


class Faults:
    """Hold what steps are to raise, by their names."""

    def __init__(self) -> None:
        self._planned: defaultdict[str, deque[Error]] = defaultdict(deque)
        self._unreached: set[str] = set()

    def plan(self, step: str, error: Any, times: int) -> None:
        """Let the next runs of this step raise; its retries count. Raises ConfigurationError for what is no error."""
        if not isinstance(error, BaseException) and not (isinstance(error, type) and issubclass(error, BaseException)):
            raise ConfigurationError(f"a step cannot raise {error!r}: give an exception, or its class")
        self._planned[step].extend([error] * times)
        self._unreached.add(step)

    def check(self) -> None:
        """Raise AssertionError where no job came to a step that was to fail: nothing was tested."""
        if self._unreached:
            steps = ", ".join(f'"{step}"' for step in sorted(self._unreached))
            raise AssertionError(f"fail_step: no job reached the step {steps}; is its name right, and did its job run?")

    def around(self, step: str, function: Any) -> Any:
        """Return the function such that it raises what is planned by then, instead of running."""
        if not callable(function):
            return function  # the step itself says what is wrong with it
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def faulty(*args: Any) -> Any:
                self._raise(step)
                return await function(*args)

            return faulty

        @wraps(function)
        def plainly_faulty(*args: Any) -> Any:
            self._raise(step)
            return function(*args)

        return plainly_faulty

    def _raise(self, step: str) -> None:
        self._unreached.discard(step)
        if self._planned[step]:
            raise self._planned[step].popleft()


class FaultyContext(Context):
    """A context whose steps may fail as planned."""

    def __init__(self, faults: Faults, *args: Any) -> None:
        super().__init__(*args)
        self._faults = faults

    async def step(self, name: str, function: Callable[[], Any], **options: Any) -> Any:
        """Run the step, or raise."""
        return await super().step(name, self._faults.around(name, function), **options)

    async def step_transaction(self, name: str, function: Callable[..., Any]) -> Any:
        """Run the step, or raise."""
        return await super().step_transaction(name, self._faults.around(name, function))


class FaultySyncContext(SyncContext):
    """A context whose steps may fail as planned."""

    def __init__(self, faults: Faults, *args: Any) -> None:
        super().__init__(*args)
        self._faults = faults

    def step(self, name: str, function: Callable[[], Any], **options: Any) -> Any:
        """Run the step, or raise."""
        return super().step(name, self._faults.around(name, function), **options)

    def step_transaction(self, name: str, function: Callable[..., Any]) -> Any:
        """Run the step, or raise."""
        return super().step_transaction(name, self._faults.around(name, function))
