"""The example's own tables, as the task sees them: plain psycopg, one short transaction a call."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg

from .media import Luma
from .prnu import pack_fingerprint, unpack_fingerprint

SCHEMA = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
PIECE_BYTES = 1 << 20


@contextmanager
def connect() -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Open a connection to ESTEIRA_DATABASE_URL for one transaction."""
    with psycopg.connect(os.environ["ESTEIRA_DATABASE_URL"]) as connection:
        yield connection


def create_tables() -> None:
    """Make the tables where they are missing; several processes may do it at once."""
    with connect() as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('video_forensics'))")
        connection.execute(SCHEMA.encode())


def read_video(analysis_id: UUID) -> bytes:
    """Return the uploaded video. Raises LookupError where the analysis was removed."""
    with connect() as connection, connection.cursor(binary=True) as cursor:
        cursor.execute(
            "select data from video_forensics.file where analysis_id = %s and kind = 'upload' order by position",
            [analysis_id],
        )
        video = b"".join(bytes(row[0]) for row in cursor)  # type: ignore[call-overload]
    if not video:
        raise LookupError(f"there is no upload of analysis {analysis_id}; it was removed")
    return video


def write_clean_video(analysis_id: UUID, video: bytes) -> None:
    """Store the clean video, in place of one that an earlier attempt stored."""
    pieces = (video[start : start + PIECE_BYTES] for start in range(0, len(video), PIECE_BYTES))
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("delete from video_forensics.file where analysis_id = %s and kind = 'clean'", [analysis_id])
        cursor.executemany(
            "insert into video_forensics.file (analysis_id, kind, position, data) values (%s, 'clean', %s, %s)",
            [(analysis_id, position, piece) for position, piece in enumerate(pieces)],
        )


def write_fingerprint(analysis_id: UUID, fingerprint: Luma) -> None:
    """Store the sensor's noise pattern of this video."""
    with connect() as connection:
        connection.execute(
            "update video_forensics.analysis set fingerprint = %s where id = %s",
            [pack_fingerprint(fingerprint), analysis_id],
        )


def read_references(analysis_id: UUID) -> dict[str, Luma]:
    """Return the newest fingerprint of every camera, by its name, leaving this analysis out."""
    with connect() as connection:
        rows = connection.execute(
            "select distinct on (camera) camera, fingerprint from video_forensics.analysis"
            " where camera is not null and fingerprint is not null and id <> %s order by camera, created_at desc",
            [analysis_id],
        ).fetchall()
    return {str(camera): unpack_fingerprint(bytes(packed)) for camera, packed in rows}  # type: ignore[call-overload]
