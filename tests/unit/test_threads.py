from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from esteira.threads import in_thread


def blame() -> None:
    raise ValueError("why")


async def test_a_function_runs_in_another_thread_and_gives_its_value_back() -> None:
    assert await in_thread(threading.get_ident) != threading.get_ident()


async def test_its_exception_is_raised_here() -> None:
    with pytest.raises(ValueError, match="why"):
        await in_thread(blame)


async def test_it_sees_the_context_variables_of_its_caller() -> None:
    number = contextvars.ContextVar("number", default=0)
    number.set(7)
    assert await in_thread(number.get) == 7


async def test_stop_iteration_is_an_error_and_no_endless_wait() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await in_thread(lambda: next(iter(())))


async def test_more_run_at_once_than_the_loop_has_threads() -> None:
    barrier = threading.Barrier(50, timeout=10)
    assert sorted(await asyncio.gather(*(in_thread(barrier.wait) for _ in range(50)))) == list(range(50))


def test_a_cancelled_call_leaves_its_thread_behind_and_does_not_keep_the_loop_from_ending() -> None:
    begun, free, ended = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        free.wait(10)
        ended.set()

    async def main() -> None:
        calling = asyncio.create_task(in_thread(hang))
        await asyncio.to_thread(begun.wait)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling

    asyncio.run(main())
    assert not ended.is_set()
    free.set()
    assert ended.wait(10)
