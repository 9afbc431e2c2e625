"""Where a page of jobs ends: opaque to clients, an id to us."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from esteira_service.problems import InputError, invalid


def write_cursor(job_id: UUID) -> str:
    """Write the cursor of the page that follows this job."""
    return base64.urlsafe_b64encode(job_id.bytes).decode().rstrip("=")


def read_cursor(cursor: str) -> UUID:
    """Read a cursor. Refuses with INVALID_INPUT what write_cursor did not write."""
    try:
        job_id = UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        job_id = None
    if job_id is None or write_cursor(job_id) != cursor:
        raise invalid([InputError(parameter="cursor", detail="this is no cursor; take `next` of the page before")])
    return job_id
