"""Spans of time, in order and apart from one another."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

Span = tuple[datetime, datetime]


def united(spans: Iterable[Span], apart: timedelta = timedelta(0)) -> list[Span]:
    """Join spans that overlap, or that are no further apart than that."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin - joined[-1][1] <= apart:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begin, end))
    return joined


def common(one: Sequence[Span], other: Sequence[Span]) -> Iterator[Span]:
    """Return when both are."""
    here = there = 0
    while here < len(one) and there < len(other):
        begin, end = max(one[here][0], other[there][0]), min(one[here][1], other[there][1])
        if begin < end:
            yield begin, end
        if one[here][1] < other[there][1]:
            here += 1
        else:
            there += 1


def without(spans: Sequence[Span], holes: Sequence[Span]) -> Iterator[Span]:
    """Return what the holes leave."""
    for begin, end in spans:
        since = begin
        for hole_begin, hole_end in holes:
            if hole_begin >= end or hole_end <= since:
                continue
            if since < hole_begin:
                yield since, hole_begin
            since = max(since, hole_end)
        if since < end:
            yield since, end


def longest(spans: Sequence[Span], begin: datetime, end: datetime) -> timedelta:
    """Return the longest time within that time in which there is a span."""
    most = timedelta(0)
    at = max(0, bisect_left(spans, (begin, begin)) - 1)
    for one, other in islice(spans, at, None):
        if one >= end:
            break
        most = max(most, min(other, end) - max(one, begin))
    return most
