"""A pgbouncer of a test's own, in transaction mode, in front of the run's server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.postgres import open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOYMENT = Path(__file__).parents[1] / "docs" / "deployment.md"
NOBODY = "nobody"


def find_pgbouncer() -> str:
    """Return the program, or skip the test."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip("there is no pgbouncer here: apt-get install pgbouncer")
    return found


class PgBouncer:
    """A pgbouncer with the settings that docs/deployment.md recommends, on a free port."""

    def __init__(self, folder: Path, server_url: str, **settings: str) -> None:
        self._program = find_pgbouncer()
        self._folder = folder
        self._url = urlsplit(server_url)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._write(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        return f"postgresql://anybody@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            self._program,
            "-q",
            *(["-u", NOBODY] if os.geteuid() == 0 else []),
            str(self._folder / "pgbouncer.ini"),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it: at once, whatever its clients were doing."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None

    @property
    def _log(self) -> Path:
        return self._folder / "pgbouncer.log"

    def _write(self, settings: dict[str, str]) -> None:
        documented = re.search(r"```ini\n(.*?)```", DEPLOYMENT.read_text(), re.DOTALL)
        assert documented is not None
        config = ConfigParser(interpolation=None)
        config.read_string(documented[1])
        url = self._url
        config["databases"] = {"*": f"host={url.hostname} port={url.port} user={url.username} password={url.password}"}
        config["pgbouncer"].update(
            listen_addr="127.0.0.1",
            listen_port=str(self.port),
            unix_socket_dir="",
            # Whoever comes is the server's user.
            auth_type="any",
            **settings,
        )
        del config["pgbouncer"]["auth_file"]
        path = self._folder / "pgbouncer.ini"
        with path.open("w") as file:
            config.write(file)
        # It holds a password. The process gives root up before it reads it.
        path.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(path, NOBODY)


@contextmanager
def running_pgbouncer(server_url: str, **settings: str) -> Iterator[PgBouncer]:
    """Run a pgbouncer in front of the server at this address; settings on top of the documented ones."""
    with open_folder() as folder:
        bouncer = PgBouncer(folder, server_url, **settings)
        bouncer.start()
        try:
            yield bouncer
        finally:
            bouncer.stop()
