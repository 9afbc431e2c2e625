"""The header Idempotency-Key and its twin in the body."""

from __future__ import annotations

from fastapi import Request

from esteira_service.problems import InputError, invalid
from esteira_service.requests import MAX_KEY, JobRequest

HEADER = "Idempotency-Key"


def read_key(request: Request, wanted: JobRequest) -> bool:
    """Give the request the key of its header; returns whether there is one. Raises Refusal."""
    given = request.headers.getlist(HEADER)
    if not given:
        return False
    key = _unquoted(given[0])
    if len(set(given)) > 1:
        raise _wrong("give it once")
    if wanted.idempotency_key not in (None, key):
        raise _wrong("it is another key than idempotency_key in the body: give one of them, or the same in both")
    if not 1 <= len(key) <= MAX_KEY or not key.isascii():
        raise _wrong(f"a key in a header is 1 to {MAX_KEY} characters of ASCII")
    wanted.idempotency_key = key
    return True


def _unquoted(value: str) -> str:
    # Draft RFC "The Idempotency-Key HTTP Header Field" makes it a quoted string; most clients send it bare.
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _wrong(detail: str) -> Exception:
    return invalid([InputError(header=HEADER, detail=detail)])
