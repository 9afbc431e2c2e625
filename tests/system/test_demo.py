"""The README's first command, `make demo`, as it ends by itself: a real video, and an engine killed in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "video_forensics"


@pytest.mark.timeout(400)  # half a minute of computing
def test_demo_analyses_a_video_and_survives_the_death_of_its_engine(reachable_folder: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("ESTEIRA_")}
    done = subprocess.run(
        [sys.executable, "-m", "video_forensics.demo"],
        cwd=reachable_folder,
        env={**bare, "PYTHONPATH": str(EXAMPLE), "DEMO_ONCE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "kill -9 of the engine process" in said
    assert "attempt 2 read those and ran only" in said
    assert "Clean video ready" in said
