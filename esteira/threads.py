"""Plain functions off the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Run a plain function in a thread of its own and return what it returns. Cancelling leaves the thread behind.

    Not in the loop's own threads: those are few, the loop needs them to look up hosts, and a process that ends waits
    for them.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(function())
        except StopIteration as error:
            # An asyncio future refuses this one, and would wait for ever.
            future.set_exception(RuntimeError("the function raised StopIteration").with_traceback(error.__traceback__))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            future.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), name="esteira-step", daemon=True).start()
    return await asyncio.wrap_future(future)
