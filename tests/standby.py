"""A synchronous standby of a test's server, to be promoted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psycopg

from esteira.embedded import EmbeddedPostgres
from esteira.embedded.account import server_account
from esteira.embedded.child import guarded, run

_SYNCHRONOUS = "alter system set synchronous_standby_names = '*'"
_READ_ONLY = "alter system set default_transaction_read_only = on"
_END_WAITING = "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"
_RELOAD = "select pg_reload_conf()"
_IN_SYNC = "select exists (select from pg_stat_replication where sync_state = 'sync')"


class Standby:
    """Copy a primary, follow it, and have it wait for the copy at each commit."""

    def __init__(self, primary: EmbeddedPostgres, folder: Path) -> None:
        self._primary = primary
        data = folder / "standby"
        self._copy(data)
        self.server = EmbeddedPostgres(data, durable=False, bin_dir=primary.bin_dir)

    @contextmanager
    def following(self) -> Iterator[Self]:
        """Run it, as soon as commits wait for it."""
        with self.server:
            self._wait_until_in_sync()
            yield self

    def _wait_until_in_sync(self) -> None:
        with psycopg.connect(self._primary.url(), autocommit=True) as connection:
            connection.execute(_SYNCHRONOUS)
            connection.execute(_RELOAD)
            while not connection.execute(_IN_SYNC).fetchone()[0]:
                time.sleep(0.02)

    def url(self, database: str = "postgres") -> str:
        """Return an address that names both, and takes whichever can be written to."""
        given = urlsplit(self._primary.url(database))
        netloc = f"{given.netloc},127.0.0.1:{self.server.port}"
        return given._replace(netloc=netloc, query="target_session_attrs=read-write").geturl()

    def promote(self) -> None:
        """Make it the primary. The old one lives on, with its sessions, and takes no more writes.

        But for those whose commit would wait for ever, as it has no standby any more: they are ended, unanswered.
        """
        with psycopg.connect(self._primary.url(), autocommit=True) as connection:
            connection.execute(_READ_ONLY)
            connection.execute(_RELOAD)
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            assert connection.execute("select pg_promote()").fetchone() == (True,)
        with psycopg.connect(self._primary.url(), autocommit=True) as connection:
            # Transactions that had begun before it was read-only come to their commits one after the other.
            for _ in range(30):
                connection.execute(_END_WAITING)
                time.sleep(0.1)

    def _copy(self, data: Path) -> None:
        data.mkdir(mode=0o700)
        account = server_account(self._primary.data_dir)
        account.own(data)
        program = self._primary.bin_dir / "pg_basebackup"
        given = urlsplit(self._primary.url())
        where = [f"--host={given.hostname}", f"--port={given.port}", f"--username={given.username}"]
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", f"--pgdata={data}"]
        run(guarded(account, data, program, *where, *options), PGPASSWORD=str(given.password))
        password = self._primary.data_dir.with_name(f"{self._primary.data_dir.name}.password")
        shutil.copy2(password, data.with_name("standby.password"))
