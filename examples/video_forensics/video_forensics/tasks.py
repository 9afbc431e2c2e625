"""The pipeline: one task of six steps. A crash or a retry takes it up at the first step that is not finished."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel

from esteira import App, Retry, SyncContext

from . import storage
from .classification import classification
from .cleaning import cleaning
from .errors import UnusableVideo
from .fft import fft
from .metadata import metadata_extraction
from .prnu import prnu
from .report import report_generation

STEPS = ("metadata_extraction", "prnu", "fft", "classification", "report_generation", "cleaning")

app = App("video_forensics")


class Outcome(BaseModel):
    """The job's result; the whole report stands in the analysis."""

    analysis_id: UUID
    summary: list[str]
    clean_video_bytes: int


# A process of its own, so that a timeout or a cancel really stops FFmpeg. No further attempt mends an unusable video.
@app.task(queue="video", executor="process", timeout="30m", steps=STEPS, retry=Retry(never_on=(UnusableVideo,)))
def analyse(analysis_id: UUID, ctx: SyncContext) -> Outcome:
    """Find out where a video comes from, and make a clean copy of it."""
    video = storage.read_video(analysis_id)

    def step(name: str, function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
        return ctx.step(name, partial(function, *args))

    def progress(name: str) -> Callable[[float, str], None]:
        place = STEPS.index(name)
        return lambda share, message: ctx.progress((place + share) / len(STEPS), message)

    metadata = step("metadata_extraction", metadata_extraction, video, progress("metadata_extraction"))
    noise = step("prnu", _prnu, analysis_id, video, metadata, progress("prnu"))
    spectrum = step("fft", fft, video, metadata, progress("fft"))
    origin = step("classification", classification, metadata, noise, spectrum)
    report = step("report_generation", report_generation, metadata, noise, spectrum, origin)
    clean = step("cleaning", _cleaning, analysis_id, video, metadata, progress("cleaning"))

    with ctx.transaction() as tx:
        tx.execute(
            "update video_forensics.analysis set report = %s where id = %s",
            orjson.dumps({**report, "cleaning": clean}).decode(),
            analysis_id,
        )
        outcome = Outcome(analysis_id=analysis_id, summary=report["summary"], clean_video_bytes=clean["bytes"])
        tx.complete(outcome)
    return outcome


# What is no JSON goes into the example's own tables. Doing that twice leaves the same, so a step may.
def _prnu(
    analysis_id: UUID, video: bytes, metadata: dict[str, Any], progress: Callable[[float, str], None]
) -> dict[str, Any]:
    found = prnu(video, metadata, storage.read_references(analysis_id), progress)
    storage.write_fingerprint(analysis_id, found.fingerprint)
    return found.result


def _cleaning(
    analysis_id: UUID, video: bytes, metadata: dict[str, Any], progress: Callable[[float, str], None]
) -> dict[str, Any]:
    made = cleaning(video, metadata, progress)
    storage.write_clean_video(analysis_id, made.video)
    return made.result
