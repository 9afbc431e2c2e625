"""Build the documentation's site, or show it: python -m scripts.docs build | serve.

Neither needs a network or a database: the catalogue is read from an embedded PostgreSQL that lives as long as it takes.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from esteira.embedded import EmbeddedPostgres
from esteira_migrations import upgrade
from scripts.docs.pages import ROOT, put_together, sources, write_pages

PAGES = ROOT / "build" / "docs"
ZENSICAL = Path(sys.executable).parent / "zensical"


def generate() -> None:
    """Put the pages together."""
    with tempfile.TemporaryDirectory(prefix="esteira-docs-") as folder:
        Path(folder).chmod(0o755)  # as root, PostgreSQL runs under another account
        with EmbeddedPostgres(Path(folder) / "postgres", durable=False) as server:
            upgrade(server.url())
            put_together(PAGES, server.url())


def build() -> int:
    """Build site/; a broken link or anchor is an error."""
    return subprocess.run([ZENSICAL, "build", "--clean", "--strict"], cwd=ROOT, check=False).returncode


def serve(address: str) -> int:
    """Show the site and follow changes to what people write, until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with subprocess.Popen([ZENSICAL, "serve", "--dev-addr", address], cwd=ROOT) as server:
        seen = newest()
        try:
            while server.poll() is None:
                time.sleep(1)
                if newest() > seen:
                    seen = newest()
                    write_pages(PAGES)
        except KeyboardInterrupt:
            pass
        finally:
            server.terminate()
    return 0


def newest() -> float:
    """Return when a page was changed last."""
    return max((ROOT / source).stat().st_mtime for source in sources())


def main() -> int:
    """Read the command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.docs", description=__doc__)
    parser.add_argument("command", choices=("build", "serve"))
    parser.add_argument("--address", default="127.0.0.1:8010")
    arguments = parser.parse_args()
    generate()
    return build() if arguments.command == "build" else serve(arguments.address)


if __name__ == "__main__":
    sys.exit(main())
