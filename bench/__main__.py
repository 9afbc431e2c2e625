"""`python -m bench [SCENARIO …]`: run the measurements, all or those named, and print one table."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import peers, registry, report
from bench.run import Outcome, run
from bench.scale import FULL, SHORT, SMOKE, Scale
from bench.servers import servers


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write the JSON if asked to."""
    options = _parser().parse_args(arguments)
    # With it every start of every worker would compile all that it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    scale = FULL if options.full else SMOKE if options.smoke else SHORT
    systems = _chosen(registry.systems(), options.systems.split(",") if options.systems else [])
    scenarios = _chosen(registry.scenarios(), options.scenarios)
    if not options.full and not options.scenarios:
        scenarios = {name: one for name, one in scenarios.items() if not one.long}
    if set(systems) - {"esteira", "raw"}:
        peers.install()
    if options.json and not options.json.parent.is_dir():
        sys.exit(f"there is no folder {options.json.parent}")
    # Whoever ends us with a signal wants our servers and workers ended as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found: dict[str, Any] = {}

    def keep(outcome: Outcome, postgres: str) -> None:
        found.update(report.as_document(outcome, scenarios, systems, scale, postgres))
        if options.json:
            options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")

    try:
        asyncio.run(_measure(systems, scenarios, scale, keep))
    except KeyboardInterrupt:
        print("interrupted: what follows is what was measured by then", file=sys.stderr)
    if found:
        report.show(found)
    return 0 if found.get("figures") else 1


async def _measure(
    systems: Mapping[str, Any],
    scenarios: Mapping[str, Any],
    scale: Scale,
    keep: Callable[[Outcome, str], None],
) -> None:
    with servers() as started:
        postgres = await started.version()
        await started.stock_wal(scale.wal_megabytes)
        await run(list(scenarios.values()), systems, scale, started, lambda outcome: keep(outcome, postgres))


def _chosen(known: Mapping[str, Any], wanted: Sequence[str]) -> Mapping[str, Any]:
    if unknown := set(wanted) - set(known):
        sys.exit(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return {name: one for name, one in known.items() if not wanted or name in wanted}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("scenarios", metavar="SCENARIO", nargs="*", help=", ".join(registry.scenarios()))
    parser.add_argument("--systems", help=f"with commas, of {', '.join(registry.systems())}; all by default")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--full", action="store_true", help="an hour or two instead of some minutes")
    sizes.add_argument("--smoke", action="store_true", help="some hundred jobs: does it work? Its figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of all rounds there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
