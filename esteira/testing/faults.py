"""Steps that fail as planned."""

from __future__ import annotations

import inspect
from collections import defaultdict, deque
from collections.abc import Callable
from functools import wraps
from typing import Any

from esteira.context import Context
from esteira.sync_context import SyncContext

Error = BaseException | type[BaseException]


class Faults:
    """Hold what steps are to raise, by their names."""

    def __init__(self) -> None:
        self._planned: defaultdict[str, deque[Error]] = defaultdict(deque)

    def plan(self, step: str, error: Error, times: int) -> None:
        """Let the next runs of this step raise; its retries count."""
        self._planned[step].extend([error] * times)

    def around(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function such that it raises what is planned by then, instead of running."""
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
