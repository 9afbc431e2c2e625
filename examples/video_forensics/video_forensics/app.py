"""The HTTP API of the example: upload a video, watch its analysis, get report and clean video.

It runs no analysis itself. Without a worker an upload waits, and says so in `explanation`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import asyncpg
import orjson
from fastapi import Depends, FastAPI, File, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import StreamingResponse

from esteira import IllegalTransition

from .media import MAX_BYTES
from .storage import PIECE_BYTES, SCHEMA
from .tasks import STEPS, analyse
from .tasks import app as tasks

_ANALYSES = """
select a.id, a.job_id, a.file_name, a.camera, a.created_at, a.report is not null as has_report,
       j.status, j.progress, j.progress_message, j.current_step, j.error, j.attempt, j.started_at, j.finished_at,
       array(select step.name from esteira.step as step where step.job_id = a.job_id) as finished_steps
from video_forensics.analysis as a
left join esteira.jobs as j on j.id = a.job_id
"""
# The words of the clients that this API replaces.
_STATUS = {"queued": "pending", "waiting": "pending", "running": "processing", "dead": "failed"}


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    """Open the pool and make the example's tables."""
    async with asyncpg.create_pool(os.environ["ESTEIRA_DATABASE_URL"], min_size=0) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtext('video_forensics'))")
            await connection.execute(SCHEMA)
        api.state.pool = pool
        yield
        await tasks.close()


api = FastAPI(title="Video forensics", lifespan=lifespan)


if TYPE_CHECKING:
    # asyncpg's classes are generic to type checkers only.
    AnyPool = asyncpg.Pool[asyncpg.Record]
else:
    AnyPool = asyncpg.Pool


def pool_of(request: Request) -> AnyPool:
    """Return the pool."""
    pool: AnyPool = request.app.state.pool
    return pool


Pool = Annotated[AnyPool, Depends(pool_of)]


@api.post("/api/v1/analysis", status_code=202)
async def upload(
    pool: Pool,
    response: Response,
    file: Annotated[UploadFile, File()],
    camera: Annotated[str | None, Form(max_length=200)] = None,
) -> dict[str, Any]:
    """Store a video and enqueue its analysis, in one transaction: there is never the one without the other.

    camera: say that the video comes from this camera; its sensor pattern then is a reference for other videos.
    """
    name = PurePath(file.filename or "video").name.replace("\0", "")[:255]
    async with pool.acquire() as connection, connection.transaction():
        analysis_id = await connection.fetchval(
            "insert into video_forensics.analysis (file_name, camera) values ($1, $2) returning id",
            name,
            camera or None,
        )
        size = position = 0
        while piece := await file.read(PIECE_BYTES):
            size += len(piece)
            if size > MAX_BYTES:
                raise HTTPException(
                    413, f"A video may have {MAX_BYTES // 2**20} MiB. Upload a shorter part, cut without re-encoding."
                )
            await connection.execute(
                "insert into video_forensics.file values ($1, 'upload', $2, $3)", analysis_id, position, piece
            )
            position += 1
        if not size:
            raise HTTPException(422, "The file is empty. Choose the video again.")
        await _enqueue(connection, analysis_id)
    response.headers["Location"] = f"/api/v1/analysis/{analysis_id}"
    return await _one(pool, analysis_id)


@api.get("/api/v1/analysis")
async def analyses(
    pool: Pool, page: Annotated[int, Query(ge=1, le=10_000)] = 1, page_size: Annotated[int, Query(ge=1, le=100)] = 20
) -> dict[str, Any]:
    """List analyses, the newest first."""
    rows = await pool.fetch(
        f"{_ANALYSES} order by a.created_at desc, a.id limit $1 offset $2", page_size, (page - 1) * page_size
    )
    total = await pool.fetchval("select count(*) from video_forensics.analysis")
    return {"items": [_shape(row) for row in rows], "page": page, "page_size": page_size, "total": total}


@api.get("/api/v1/analysis/{analysis_id}")
async def analysis(pool: Pool, analysis_id: UUID) -> dict[str, Any]:
    """Return one analysis with its report, if it has one by now, and why it is where it is."""
    return await _one(pool, analysis_id)


@api.post("/api/v1/analysis/{analysis_id}/reprocess", status_code=202)
async def reprocess(pool: Pool, analysis_id: UUID) -> dict[str, Any]:
    """Analyse the stored video again, from the first step; one that is still under way is cancelled."""
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            "select job_id from video_forensics.analysis where id = $1 for update", analysis_id
        )
        if row is None:
            raise _unknown(analysis_id)
        former = row["job_id"]
        await _enqueue(connection, analysis_id)
    with suppress(IllegalTransition):  # it had ended
        await tasks.client.cancel(former)
    return await _one(pool, analysis_id)


@api.get("/api/v1/analysis/{analysis_id}/video")
async def clean_video(pool: Pool, analysis_id: UUID) -> StreamingResponse:
    """Download the clean video."""
    name = await pool.fetchval(
        "select file_name from video_forensics.analysis as a where id = $1"
        " and exists (select from video_forensics.file where analysis_id = a.id and kind = 'clean')",
        analysis_id,
    )
    if name is None:
        raise HTTPException(404, "There is no clean video yet: see the analysis's status.")
    stem = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in PurePath(name).stem)
    return StreamingResponse(
        _pieces(pool, analysis_id),
        media_type="video/mp4",
        headers={"Content-Disposition": f'attachment; filename="{stem}-clean.mp4"'},
    )


async def _pieces(pool: AnyPool, analysis_id: UUID) -> AsyncIterator[bytes]:
    async with pool.acquire() as connection, connection.transaction():
        query = "select data from video_forensics.file where analysis_id = $1 and kind = 'clean' order by position"
        async for row in connection.cursor(query, analysis_id, prefetch=2):
            yield row["data"]


async def _enqueue(connection: Any, analysis_id: UUID) -> None:
    job = await analyse.enqueue({"analysis_id": analysis_id}, db=connection)
    await connection.execute(
        "update video_forensics.analysis set job_id = $1, report = null where id = $2", job.id, analysis_id
    )


async def _one(pool: AnyPool, analysis_id: UUID) -> dict[str, Any]:
    row = await pool.fetchrow(f"{_ANALYSES} where a.id = $1", analysis_id)
    if row is None:
        raise _unknown(analysis_id)
    report = await pool.fetchval("select report from video_forensics.analysis where id = $1", analysis_id)
    explanation = await pool.fetchval("select detail from esteira.explain($1)", row["job_id"])
    return {**_shape(row), "explanation": explanation, "report": orjson.loads(report) if report else None}


def _shape(row: asyncpg.Record) -> dict[str, Any]:
    # Esteira forgets finished jobs after its retention; the analysis stays.
    status = row["status"] or ("completed" if row["has_report"] else "expired")
    finished = set(STEPS if status == "completed" else row["finished_steps"])
    current = row["current_step"] if status == "running" else None
    return {
        "id": row["id"],
        "job_id": row["job_id"],
        "filename": row["file_name"],
        "camera": row["camera"],
        "status": _STATUS.get(status, status),
        "progress": 100 if status == "completed" else round((row["progress"] or 0) * 100),
        "message": row["progress_message"],
        "steps": [
            {
                "name": name,
                "status": "completed" if name in finished else "processing" if name == current else "pending",
            }
            for name in STEPS
        ],
        "error": orjson.loads(row["error"])["message"] if row["error"] else None,
        "created_at": row["created_at"],
        "started_at": row["started_at"],
        "completed_at": row["finished_at"],
    }


def _unknown(analysis_id: UUID) -> HTTPException:
    return HTTPException(404, f"There is no analysis {analysis_id}.")
