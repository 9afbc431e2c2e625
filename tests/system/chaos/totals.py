"""What runs of chaos came to, and the sum of several: python -m tests.system.chaos.totals .cache/chaos/*.json."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Totals:
    """Figures that can be added up. recovery: seconds by the fault; lease: in ticks; faults: how many of which."""

    lease: int
    runs: list[str] = field(default_factory=list)
    acknowledged: int = 0
    lost: int = 0
    effects: int = 0
    duplicated: int = 0
    given_up: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    recovery: dict[str, list[float]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Keep it, in a file named after the run."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{'+'.join(self.runs)}.json").write_text(json.dumps(vars(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Totals:
        """Read what was kept."""
        kept = json.loads(path.read_text())
        return cls(**{**kept, "faults": Counter(kept["faults"])})

    def table(self) -> str:
        """Return a Markdown table: measure, promise, figure, over what."""
        faults = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(self.faults.items()))
        rows = [
            ("acknowledged jobs lost", "0", str(self.lost), f"{self.acknowledged:,} jobs"),
            ("committed effects doubled", "0", str(self.duplicated), f"{self.effects:,} effects"),
            ("live workers given up", "0", str(self.given_up), f"{self.faults.total():,} faults"),
            *(self._recovered(what, times) for what, times in sorted(self.recovery.items())),
        ]
        lines = ["| measure | promise | figure | over |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([*lines, "", f"{self.faults.total():,} faults: {faults}. Runs: {', '.join(self.runs)}."])

    def _recovered(self, what: str, times: list[float]) -> tuple[str, str, str, str]:
        figure = f"p50 {percentile(times, 50):.2f} s, p99 {percentile(times, 99):.2f} s"
        return f"{what} → claimable", f"p99 ≤ {promised(what, self.lease):g} s", figure, f"{len(times)} times"


def promised(what: str, lease: int) -> float:
    """Return within how many seconds a worker's jobs are claimable after this, with a lease of so many ticks."""
    return 2.0 if what == "engines killed" else lease + 2.0


def percentile(times: Iterable[float], share: int) -> float:
    """Return the smallest of them that so many percent do not exceed."""
    ordered = sorted(times)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def added(several: Iterable[Totals]) -> Totals:
    """Return the sum. Raises ValueError where they had different leases: their times cannot be compared."""
    first, *others = several
    total = deepcopy(first)
    for other in others:
        if other.lease != total.lease:
            raise ValueError(f"{other.runs} had a lease of {other.lease} ticks, {total.runs} of {total.lease}")
        total.runs += other.runs
        total.faults += other.faults
        for name in ("acknowledged", "lost", "effects", "duplicated", "given_up"):
            setattr(total, name, getattr(total, name) + getattr(other, name))
        for what, times in other.recovery.items():
            total.recovery[what] = total.recovery.get(what, []) + times
    return total


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("no runs: `make chaos` keeps each in .cache/chaos; name their files")
    print(added(Totals.read(Path(name)) for name in sys.argv[1:]).table())  # noqa: T201
