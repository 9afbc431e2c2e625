"""Entity tags of jobs: what a client read, said in a few characters (RFC 9110, section 8.8.3)."""

from __future__ import annotations

import base64
import hashlib
import re

from esteira_service.models import JobView
from esteira_service.problems import InputError, invalid

# What moves with the clock although nothing has happened.
_MOVING = {"execution_time_seconds", "poll_after_seconds"}
_TAGS = re.compile(r'\*|(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"(?:[ \t]*,[ \t]*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*")*')


def etag_of(view: JobView) -> str:
    """Return a tag that stays the same until something that is shown has changed."""
    shown = view.model_dump_json(exclude=_MOVING)
    return f'"{base64.urlsafe_b64encode(hashlib.sha256(shown.encode()).digest()[:15]).decode()}"'


def matches(header: str, name: str, etag: str) -> bool:
    """Tell whether If-Match or If-None-Match, by name, names the tag or any; "W/" makes no difference.

    Refuses with INVALID_INPUT what is no list of tags.
    """
    if not _TAGS.fullmatch(header.strip()):
        detail = 'give an ETag with its quotes, as in "Zm9v", some of them with commas between, or *'
        raise invalid([InputError(header=name, detail=detail)])
    return header.strip() == "*" or etag in re.findall(r'"[^"]*"', header)
