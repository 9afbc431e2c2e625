"""`python -m bench [NAME …]`: run the measurements, all or those named."""

from __future__ import annotations

import asyncio
import sys

from bench.drain import drain
from bench.future import future
from bench.installation import installation
from bench.memory import memory
from bench.pickup import pickup
from bench.post import post
from bench.recovery import recovery
from bench.snapshot import snapshot

_ALL = {
    "pickup": pickup,
    "drain": drain,
    "snapshot": snapshot,
    "future": future,
    "recovery": recovery,
    "memory": memory,
    "post": post,
}


def main(names: list[str]) -> int:
    """Run the named measurements, each on a server of its own."""
    unknown = set(names) - set(_ALL)
    if unknown:
        print(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(_ALL)}", file=sys.stderr)
        return 2
    for name in names or _ALL:
        with installation() as url:
            asyncio.run(_ALL[name](url))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
