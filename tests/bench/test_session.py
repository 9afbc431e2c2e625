from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import session
from bench.session import Session
from bench.system import Command

# It answers at length, and stays when nobody asks any more.
CLIENT = """
import json, sys, time
for line in sys.stdin:
    moments = [time.monotonic()] * json.loads(line).get("count", 0)
    print(json.dumps({"due": moments, "called": moments}), flush=True)
time.sleep(600)
"""


@pytest.fixture
def opened(tmp_path: Path) -> Session:
    system: Any = SimpleNamespace(client=lambda _: Command((sys.executable, "-c", CLIENT), {}))
    place: Any = SimpleNamespace(url="postgresql://nowhere")
    return Session(system, place, tmp_path)


async def test_a_long_answer_is_read_whole_and_a_client_that_stays_is_ended(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "STOP_SECONDS", 0.1)
    await opened.start()
    assert len((await opened.paced(20_000, 500))["called"]) == 20_000
    await opened.stop()
    assert opened._client is not None
    assert opened._client.returncode is not None
