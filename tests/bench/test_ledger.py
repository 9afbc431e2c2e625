from __future__ import annotations

import os
import subprocess
import sys
from array import array
from pathlib import Path

import pytest

from bench.ledger import FOLDER, Ledger, NotExactlyOnceError, check_exactly_once

PROGRAM = """
import os, time
from bench.ledger import saw
saw(2); saw(0)
if os.fork() == 0:  # as prefork workers do: the child writes what it saw, too
    saw(1); time.sleep(0.5); os._exit(0)
os.wait()
"""


def test_each_job_once_in_any_order_is_right() -> None:
    check_exactly_once([12, 10, 11], range(10, 13))


def test_a_lost_job_is_found() -> None:
    with pytest.raises(NotExactlyOnceError, match=r"of 3 jobs 1 never ran, 0 runs.*never ran: \[11\]"):
        check_exactly_once([10, 12], range(10, 13))


def test_a_doubled_job_is_found() -> None:
    with pytest.raises(NotExactlyOnceError, match="0 never ran, 1 runs were one too many"):
        check_exactly_once([10, 11, 12, 11], range(10, 13))


def test_a_doubled_job_does_not_make_up_for_a_lost_one() -> None:
    with pytest.raises(NotExactlyOnceError, match="1 never ran, 1 runs were one too many"):
        check_exactly_once([10, 11, 11], range(10, 13))


def test_a_job_of_an_earlier_round_is_found() -> None:
    with pytest.raises(NotExactlyOnceError, match="1 ran that nobody enqueued"):
        check_exactly_once([9, 10, 11, 12], range(10, 13))


def test_what_several_processes_saw_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=True,
        env={**os.environ, FOLDER: str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    ledger = Ledger(tmp_path)
    assert ledger.count() == 3
    records = ledger.read()
    assert sorted(number for number, _ in records) == [0, 1, 2]
    assert [moment for _, moment in records] == sorted(moment for _, moment in records)


def test_a_cleared_ledger_takes_on_what_comes_after(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with (tmp_path / "1.seen").open("ab", buffering=0) as file:
        file.write(array("d", [1, 0.5]).tobytes())
        ledger.clear()
        file.write(array("d", [2, 0.6]).tobytes())
    assert ledger.read() == [(2, 0.6)]
