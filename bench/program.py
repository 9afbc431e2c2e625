"""The client process of a system: does what it reads on its standard input and says how long it took.

It runs in the system's own environment, so the time is that of the system's own client, started and connected.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypedDict

BULK = 1000
# A statement of a thousand payloads of 500 KB would be one of 500 MB.
BULK_BYTES = 8_000_000
FRAME = len('{"n": 1000000, "ms": 100, "pad": ""}')
_NOISE = b64encode(random.Random(1).randbytes(750_000)).decode()


class Payload(TypedDict):
    """What every job of every system carries: its number, how long its handler takes, and filling."""

    n: int
    ms: int
    pad: str


class Client(Protocol):
    """What a system's client can do."""

    async def install(self) -> None:
        """Make the schema, queue or whatever the system needs, in an empty database."""

    async def one(self, payload: Payload, delay_seconds: float) -> None:
        """Enqueue a job; it is durable when this returns."""

    async def many(self, payloads: list[Payload], delay_seconds: float) -> None:
        """Enqueue jobs by the fastest call that the system documents."""


def payload(number: int, *, size: int = 100, ms: int = 0) -> Payload:
    """Return a payload whose JSON has about this many bytes, with filling that hardly compresses."""
    start = number * 61 % (len(_NOISE) // 4)
    return {"n": number, "ms": ms, "pad": _NOISE[start : start + max(0, size - FRAME)]}


Half = Coroutine[Any, Any, None]


def run(client: Callable[[], Half], work: Callable[[int | None], Half]) -> None:
    """Run one half of a Python system, as its command line says: `client`, or `worker [SLOTS]`."""
    import uvloop  # all Python systems have it, if only the harness gave it to them

    role, *slots = sys.argv[1:]
    half = client() if role == "client" else work(int(slots[0]) if slots else None)
    uvloop.run(half)


def until_terminated() -> asyncio.Event:
    """Return an event that SIGTERM sets."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    return stopped


async def serve(client: Client) -> None:
    """Answer requests, one JSON object a line, until the input ends."""
    # What libraries print goes to the error output; answers alone go out.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        answer = await _VERBS[request.pop("verb")](client, **request)
        print(json.dumps(answer), file=answers, flush=True)


async def _install(client: Client) -> Any:
    await client.install()
    return None


async def _many(client: Client, *, first: int, count: int, size: int, ms: int, delay: float) -> Any:
    step = max(1, min(BULK, BULK_BYTES // size))
    # The filling is made beforehand: it is no part of enqueueing.
    batches = [
        [payload(number, size=size, ms=ms) for number in range(start, min(start + step, first + count))]
        for start in range(first, first + count, step)
    ]
    began = time.monotonic()
    for batch in batches:
        await client.many(batch, delay)
    return time.monotonic() - began


async def _single(client: Client, *, first: int, count: int, size: int) -> Any:
    payloads = [payload(number, size=size) for number in range(first, first + count)]
    began = time.monotonic()
    for one in payloads:
        await client.one(one, 0)
    return time.monotonic() - began


async def _paced(client: Client, *, first: int, count: int, rate: float, jitter: float) -> Any:
    """Enqueue at a rate; return when each was due and when it was called, so that no delay of ours is left out."""
    due, called = [], []
    start = time.monotonic() + 0.01
    for number in range(count):
        moment = start + (number + random.uniform(0, jitter)) / rate
        await asyncio.sleep(max(0.0, moment - time.monotonic()))
        due.append(moment)
        called.append(time.monotonic())
        await client.one(payload(first + number), 0)
    return {"due": due, "called": called}


_VERBS: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "install": _install,
    "many": _many,
    "single": _single,
    "paced": _paced,
}
