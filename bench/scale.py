"""How much is measured: `make bench`, `make bench FULL=1`, and a smoke test that only shows that all works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Rounds = Literal["brief", "several", "many", "few", "once"]


@dataclass(frozen=True)
class Scale:
    """Sizes of all scenarios. Jobs of a round follow from how fast a system is about (System.pace)."""

    name: str
    rounds: Mapping[Rounds, int]
    round_seconds: float
    held_rounds: int
    pickups: int
    steady_rate: float
    steady_seconds: float
    future_jobs: int
    finished_jobs: int
    handler_ms: tuple[int, ...]
    payload_bytes: tuple[int, ...]
    payload_total_bytes: int
    idle_seconds: float
    patience_seconds: float
    wal_megabytes: int

    def jobs(self, pace: int) -> int:
        """Return how many no-op jobs make a round for a system of this pace, in tens."""
        return max(100, int(pace * self.round_seconds) // 10 * 10)


SMOKE = Scale(
    name="smoke",
    rounds={"brief": 2, "several": 1, "many": 1, "few": 1, "once": 1},
    round_seconds=0.01,
    held_rounds=2,
    pickups=20,
    steady_rate=50,
    steady_seconds=1,
    future_jobs=500,
    finished_jobs=700,
    handler_ms=(10,),
    payload_bytes=(100, 500_000),
    payload_total_bytes=5_000_000,
    idle_seconds=0.5,
    patience_seconds=30,
    wal_megabytes=16,
)
SHORT = Scale(
    name="short",
    rounds={"brief": 100, "several": 5, "many": 3, "few": 1, "once": 1},
    round_seconds=1.6,
    held_rounds=3,
    pickups=100,
    steady_rate=500,
    steady_seconds=3,
    future_jobs=50_000,
    finished_jobs=100_000,
    handler_ms=(10,),
    payload_bytes=(10_000,),
    payload_total_bytes=30_000_000,
    idle_seconds=2,
    patience_seconds=30,
    wal_megabytes=1024,
)
FULL = Scale(
    name="full",
    rounds={"brief": 200, "several": 15, "many": 5, "few": 3, "once": 1},
    round_seconds=2,
    held_rounds=6,
    pickups=500,
    steady_rate=500,
    steady_seconds=20,
    future_jobs=1_000_000,
    finished_jobs=5_000_000,
    handler_ms=(1, 10, 100),
    payload_bytes=(100, 10_000, 500_000),
    payload_total_bytes=100_000_000,
    idle_seconds=5,
    patience_seconds=120,
    wal_megabytes=1024,
)
