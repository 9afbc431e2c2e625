"""What an act on many jobs did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acted:
    """What an act on many jobs did.

    matched: jobs that the filter found, and to which the act applies; changed: those that it changed; asked: running
    ones that were asked to stop; more: there are more than the limit.
    """

    matched: int
    changed: int = 0
    asked: int = 0
    more: bool = False
