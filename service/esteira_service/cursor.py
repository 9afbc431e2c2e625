"""Where a page of jobs ends: opaque to clients; to us the last job's place, and the query that it belongs to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import UUID

from esteira.job import Job
from esteira.job_filter import JobFilter, Sort
from esteira_service.problems import InputError, invalid

Place = tuple[datetime | None, UUID]

# The id, microseconds since 1970 of the time that is sorted by (0: none), a digest of the query.
_FORM = struct.Struct("!16sq8s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_cursor(last: Job, wanted: JobFilter, sort: Sort) -> str:
    """Write the cursor of the page that follows this job."""
    time = last.finished_at if sort.endswith("finished_at") else None
    micros = 0 if time is None else (time - _EPOCH) // timedelta(microseconds=1)
    return _text(_FORM.pack(last.id.bytes, micros, _digest(wanted, sort)))


def read_cursor(cursor: str, wanted: JobFilter, sort: Sort) -> Place:
    """Read the place from a cursor. Refuses with INVALID_INPUT what write_cursor did not write for this query."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        job_id, micros, digest = _FORM.unpack(raw)
        time = _EPOCH + timedelta(microseconds=micros) if sort.endswith("finished_at") else None
    except (binascii.Error, ValueError, struct.error, OverflowError):
        _refuse("this is no cursor; take `next` of the page before")
    if _text(raw) != cursor:
        _refuse("this is no cursor; take `next` of the page before")
    if digest != _digest(wanted, sort):
        _refuse("this cursor belongs to another query: send it with the filter and the sort that its page had")
    return time, UUID(bytes=job_id)


def _digest(wanted: JobFilter, sort: Sort) -> bytes:
    return hashlib.sha256(repr((wanted, sort)).encode(errors="surrogatepass")).digest()[:8]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _refuse(detail: str) -> NoReturn:
    raise invalid([InputError(parameter="cursor", detail=detail)])
