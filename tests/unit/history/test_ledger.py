"""The ledger: one line a note, whoever writes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from uuid import uuid4

import pytest

from esteira.errors import ConfigurationError, DatabaseUnavailable, InvalidInput, LeaseLost
from esteira.history import Ledger, read
from esteira.signature import return_adapter

WRITER = """
import sys
from esteira.history import Ledger
ledger = Ledger(sys.argv[1])
for number in range(10**9):
    ledger.note("began", job_id="0197c1d2-5b7e-7cc3-98c4-dc0c0c07398f", attempt=number, filling="x" * 300)
    print(number, flush=True)
"""


@pytest.fixture
def recorded() -> None:
    """No database is needed here."""


def kinds(ledger: Ledger) -> list[str]:
    return [line.kind for line in read(ledger.path)]


def test_what_a_killed_process_has_noted_is_there_and_no_line_is_torn(ledger: Ledger) -> None:
    command = [sys.executable, "-c", WRITER, ledger.path]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as one,
        subprocess.Popen(command, stdout=subprocess.PIPE) as two,
    ):
        told = []
        for process in (one, two):
            assert process.stdout is not None
            told.append([int(process.stdout.readline()) for _ in range(200)][-1])
        for process in (one, two):
            process.kill()
    lines = list(read(ledger.path))
    for last in told:
        assert {line.attempt for line in lines} >= set(range(last + 1))


@pytest.mark.parametrize("piece", [b"{", b'{"at":17', b'{"at":17.5,"kind":"began","filling":"xx'])
def test_the_piece_of_a_line_that_a_killed_process_left_is_no_line(ledger: Ledger, piece: bytes) -> None:
    ledger.note("sent")
    with ledger.path.open("ab") as file:
        file.write(piece)
    assert kinds(ledger) == ["sent"]
    ledger.note("began", note={"at": 1})
    assert kinds(ledger) == ["sent", "began"]
    ledger.note("ended")
    assert kinds(ledger) == ["sent", "began", "ended"]


def test_only_the_beginning_of_a_line_is_taken_for_its_piece(ledger: Ledger) -> None:
    with ledger.path.open("ab") as file:
        file.write(b"scribble")
    ledger.note("sent")
    with pytest.raises(InvalidInput, match="scribble"):
        kinds(ledger)


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    threads = [Thread(target=lambda: [ledger.note("fault") for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds(ledger) == ["fault"] * 2000


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(DatabaseUnavailable("x"), "unknown"), (InvalidInput("x"), "refused"), (ValueError("x"), "unknown")],
)
def test_a_request_that_raises_is_refused_or_unknown(ledger: Ledger, error: Exception, outcome: str) -> None:
    with pytest.raises(type(error)), ledger.request(key="k", body={"a": 1}) as request:
        raise error
    sent, came = read(ledger.path)
    assert (sent.kind, came.kind) == ("sent", outcome)
    assert sent.fields["request"] == came.fields["request"] == request.id == request.metadata["request"]
    assert (sent.fields["key"], len(sent.fields["body"])) == ("k", 16)


def test_only_the_first_end_of_a_request_counts(ledger: Ledger) -> None:
    with ledger.request() as request:
        request.acknowledged(uuid4())
        request.refused()
    with ledger.request():
        pass
    assert kinds(ledger) == ["sent", "acknowledged", "sent", "unknown"]


async def test_an_attempt_notes_its_begin_its_steps_and_its_end(ledger: Ledger) -> None:
    ctx = SimpleNamespace(job_id=uuid4(), attempt=2)

    async def slow(number: int) -> int:
        await asyncio.sleep(0)
        return number

    def plain() -> str:
        return "p"

    with pytest.raises(LeaseLost), ledger.attempt(ctx) as attempt:  # noqa: PT012 - as a handler writes it
        step = attempt.step("slow", slow)
        assert return_adapter(step).core_schema["type"] == "int"
        assert await step(7) == 7
        assert attempt.step("plain", plain)() == "p"
        assert await attempt.step("partial", partial(slow, 8))() == 8
        attempt.effect_committed()
        raise LeaseLost("gone")
    lines = list(read(ledger.path))
    assert [line.kind for line in lines] == ["began", "step_ran", "step_ran", "step_ran", "effect_committed", "ended"]
    assert {(line.job_id, line.attempt) for line in lines} == {(ctx.job_id, 2)}
    assert str(lines[1]) == "ledger: step_ran 2 pid=… name=slow".replace("…", str(lines[1].fields["pid"]))
    assert lines[-1].fields["error"] == "LeaseLost"


def test_a_kind_that_is_none_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError, match="one of sent, acknowledged"):
        ledger.note("sneezed")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"at": 1, "kind": "sneezed"}', '{"at": 1, "kind": "began", "job_id": 7}', '{"at": "x"}', "\xff"],
)
def test_a_line_that_is_none_is_named(ledger: Ledger, text: str) -> None:
    ledger.note("fault")
    with ledger.path.open("a", encoding="latin-1") as file:
        file.write(f"{text}\n")
    with pytest.raises(InvalidInput, match=r"line 2 of .* is none of a ledger's"):
        list(read(ledger.path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere cannot be read: No such file"):
        list(read(tmp_path / "nowhere"))


def test_a_closed_ledger_opens_again(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.note("fault")
        ledger.close()
    assert kinds(ledger) == ["fault", "fault"]
