"""A PostgreSQL server of our own, for `esteira dev`, demos and tests. Linux and macOS.

- server.py: EmbeddedPostgres, to start, to stop, to connect to
- cluster.py: the data directory, its password, and what its lock file says
- binaries.py: which PostgreSQL to run
- account.py: whom to run it as when we are root, which PostgreSQL refuses to be
- reach.py: where root's files go that this account cannot reach
- child.py: starting its programs, so that none outlives us
- guard.py: the small script that they are started through
"""

from __future__ import annotations

from esteira.embedded.binaries import find_bin_dir
from esteira.embedded.errors import EmbeddedPostgresError
from esteira.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "find_bin_dir"]
