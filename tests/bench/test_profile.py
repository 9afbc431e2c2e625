from __future__ import annotations

import pytest

from bench.profile import _place


@pytest.mark.parametrize(
    ("stack", "place"),
    [
        ("run (uvloop/__init__.py:1);Claimer._claim (esteira_worker/claimer.py:9);decode (pgproto.c:7)", "driver"),
        (
            "Slot._run (esteira_worker/slot.py:9);Signature.decode (esteira/signature.py:3);0x7f (libpython.so)",
            "payload",
        ),
        ("Slot._run (esteira_worker/slot.py:9);job (bench/tasks.py:3);saw (bench/ledger.py:2)", "handler"),
        ("Slot._run (esteira_worker/slot.py:9);unicode_hash (libpython.so)", "claimer, slots, settler"),
        ("run_forever (loop.c:3);epoll_pwait (libc.so.6)", "event loop"),
        ("somebody (else.py:1)", "other"),
    ],
)
def test_a_sample_is_of_the_innermost_part_that_it_names(stack: str, place: str) -> None:
    assert _place(stack).startswith(f"engine: {place}")
