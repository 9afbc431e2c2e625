"""The example as its users have it: HTTP on one side, a real worker process on the other."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from video_forensics.clips import clip
from video_forensics.tasks import STEPS

EXAMPLE = Path(__file__).parents[1]
LIMIT_SECONDS = 90


@pytest.fixture
def environment(database_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("ESTEIRA_DATABASE_URL", database_url)
    return {
        **os.environ,
        "ESTEIRA_TASKS": "video_forensics.tasks",
        "ESTEIRA_LOG_LEVEL": "warning",
        "ESTEIRA_DRAIN_SECONDS": "0",
    }


@pytest_asyncio.fixture
async def http(environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    from video_forensics.app import api

    transport = httpx.ASGITransport(api)
    async with (
        api.router.lifespan_context(api),
        httpx.AsyncClient(transport=transport, base_url="http://example") as client,
    ):
        yield client


@contextmanager
def worker(environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-P", "-m", "esteira_worker"]
    with subprocess.Popen(command, env=environment, cwd=EXAMPLE) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


async def upload(http: httpx.AsyncClient, path: Path, **fields: str) -> dict[str, Any]:
    answer = await http.post("/api/v1/analysis", files={"file": (path.name, path.read_bytes())}, data=fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/api/v1/analysis/{answer.json()['id']}"
    analysis: dict[str, Any] = answer.json()
    return analysis


async def ended(http: httpx.AsyncClient, analysis: dict[str, Any]) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            now: dict[str, Any] = (await http.get(f"/api/v1/analysis/{analysis['id']}")).json()
            if now["status"] in ("completed", "failed", "cancelled"):
                return now
            await asyncio.sleep(0.1)


async def test_video_goes_through_all_steps_and_its_camera_is_recognised_in_the_next(
    http: httpx.AsyncClient, environment: dict[str, str]
) -> None:
    path = clip("carphone_pristine.mp4")
    with worker(environment):
        first = await ended(http, await upload(http, path, camera="car phone"))
        second = await ended(http, await upload(http, path))

    assert first["status"] == "completed", first["error"]
    assert first["progress"] == 100
    assert first["steps"] == [{"name": name, "status": "completed"} for name in STEPS]
    assert set(first["report"]["steps"]) == {"metadata_extraction", "prnu", "fft", "classification"}
    assert first["report"]["steps"]["prnu"]["comparisons"] == []
    assert second["report"]["steps"]["prnu"]["matched"] == ["car phone"]
    clean = await http.get(f"/api/v1/analysis/{first['id']}/video")
    assert len(clean.content) == first["report"]["cleaning"]["bytes"]
    assert clean.content[4:8] == b"ftyp"


async def test_file_that_is_no_video_is_dead_at_once_with_the_reason_in_api_cli_and_sql(
    http: httpx.AsyncClient, environment: dict[str, str], tmp_path: Path, psql: Any
) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("These are notes, not a video. " * 1000)
    with worker(environment):
        analysis = await ended(http, await upload(http, path))

    assert analysis["status"] == "failed"
    assert analysis["error"].startswith("This file is not a video that can be read")
    assert analysis["report"] is None
    assert "dead (not_retryable) after 1 of 3 attempts" in analysis["explanation"]
    assert psql("select error_type, failures, left(error_message, 24) from esteira.dead_letter") == (
        "UnusableVideo|1|This file is not a video"
    )
    status = subprocess.run(
        [sys.executable, "-m", "esteira.cli", "status", analysis["job_id"], "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(status.stdout)["error"]["type"] == "UnusableVideo"


async def test_upload_without_a_worker_waits_and_says_so(http: httpx.AsyncClient) -> None:
    analysis = await upload(http, clip("carphone_pristine.mp4"))
    assert analysis["status"] == "pending"
    assert analysis["explanation"].startswith("No worker serves the queue")
    assert {step["status"] for step in analysis["steps"]} == {"pending"}


async def test_upload_that_cannot_be_enqueued_leaves_nothing_behind(http: httpx.AsyncClient, psql: Any) -> None:
    psql("alter table esteira.job_live add constraint closed check (task <> 'video_forensics.analyse')")
    with pytest.raises(Exception, match="closed"):
        await http.post("/api/v1/analysis", files={"file": ("a.mp4", b"some bytes")})
    assert psql("select count(*) from video_forensics.analysis") == "0"
    assert psql("select count(*) from video_forensics.file") == "0"


async def test_reprocessing_cancels_what_is_under_way_and_begins_anew(http: httpx.AsyncClient, psql: Any) -> None:
    analysis = await upload(http, clip("carphone_pristine.mp4"))
    again = (await http.post(f"/api/v1/analysis/{analysis['id']}/reprocess")).json()
    assert again["id"] == analysis["id"]
    assert again["job_id"] != analysis["job_id"]
    assert again["status"] == "pending"
    assert psql(f"select status from esteira.jobs where id = '{analysis['job_id']}'") == "cancelled"


async def test_list_is_paged_with_the_newest_first(http: httpx.AsyncClient, tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(b"x")
        await upload(http, path)
    first = (await http.get("/api/v1/analysis?page=1&page_size=2")).json()
    second = (await http.get("/api/v1/analysis?page=2&page_size=2")).json()
    assert [item["filename"] for item in first["items"] + second["items"]] == ["2.mp4", "1.mp4", "0.mp4"]
    assert (first["total"], first["page"], second["page"]) == (3, 1, 2)


async def test_empty_file_and_unknown_analysis_are_refused(http: httpx.AsyncClient, psql: Any) -> None:
    assert (await http.post("/api/v1/analysis", files={"file": ("a.mp4", b"")})).status_code == 422
    assert psql("select count(*) from video_forensics.analysis") == "0"
    unknown = "00000000-0000-0000-0000-000000000000"
    assert (await http.get(f"/api/v1/analysis/{unknown}")).status_code == 404
    assert (await http.post(f"/api/v1/analysis/{unknown}/reprocess")).status_code == 404
    assert (await http.get(f"/api/v1/analysis/{unknown}/video")).status_code == 404
