"""The data directory: made once, with a password and a port beside it, and locked by the server that runs on it."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from esteira.embedded.account import Account, server_account
from esteira.embedded.child import guarded, run
from esteira.embedded.errors import EmbeddedPostgresError

USER = "esteira"


@dataclass(frozen=True)
class LockFile:
    """What `postmaster.pid` says: the server's process, and its status ("starting", "ready", "stopping")."""

    text: str

    @property
    def pid(self) -> int:
        """Return the server's process id, 0 without a server."""
        return int(self.text.split("\n", 1)[0] or 0)

    @property
    def status(self) -> str:
        """Return the eighth line, empty until the server has written it."""
        lines = self.text.splitlines()
        return lines[7].strip() if len(lines) > 7 else ""

    def is_stopping(self) -> bool:
        """Tell whether a server that is still alive is shutting down."""
        return self.status == "stopping" and _is_alive(self.pid)


class Cluster:
    """A PostgreSQL data directory, the password of its superuser, and the port of its last server."""

    def __init__(self, path: Path, bin_dir: Path) -> None:
        self.path = path.absolute()
        self._bin_dir = bin_dir
        self._password_file = self.sibling(".password")
        self._port_file = self.sibling(".port")

    def sibling(self, suffix: str) -> Path:
        """Return the file of that suffix beside the data directory."""
        return self.path.with_name(self.path.name + suffix)

    @property
    def account(self) -> Account:
        """Return who owns the data directory, or will."""
        return server_account(self.path)

    @property
    def password(self) -> str:
        """Return the superuser's password. Raises EmbeddedPostgresError when its file is missing."""
        try:
            return self._password_file.read_text().strip()
        except FileNotFoundError:
            raise EmbeddedPostgresError(
                f"{self._password_file} is missing: put it back, or remove {self.path} and lose what is in it"
            ) from None

    @property
    def version(self) -> int:
        """Return the major version that made the data directory."""
        return int((self.path / "PG_VERSION").read_text())

    def last_port(self) -> int:
        """Return the port of the last start, 0 where it is not known."""
        try:
            return int(self._port_file.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def keep_port(self, port: int) -> None:
        """Write down the port, so that addresses which people noted are good after the next start."""
        if port != self.last_port():
            self._port_file.write_text(f"{port}\n")

    def lock_file(self) -> LockFile:
        """Read `postmaster.pid`, empty when no server has written it."""
        try:
            return LockFile((self.path / "postmaster.pid").read_text())
        except FileNotFoundError:
            return LockFile("")

    def ensure(self, *, sync: bool) -> None:
        """Make the data directory if it is missing. `sync=False` leaves writing it to disk to the system."""
        try:
            if (self.path / "PG_VERSION").exists():
                return
            if self.path.exists() and any(self.path.iterdir()):
                raise EmbeddedPostgresError(f"{self.path} is neither empty nor PostgreSQL's: choose another folder")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._write_password()
            self._make(sync=sync)
        except PermissionError as error:
            raise EmbeddedPostgresError(
                f"no permission for {error.filename}: choose a data directory of yours in a folder you may write to"
            ) from error

    def _write_password(self) -> None:
        if self._password_file.exists():
            return
        descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
        self.account.own(self._password_file)  # initdb reads it

    def _make(self, *, sync: bool) -> None:
        """Run initdb in a new folder and move it into place, so that a killed initdb leaves nothing half-made."""
        made = Path(tempfile.mkdtemp(dir=self.path.parent, prefix=f"{self.path.name}.new-"))
        try:
            self.account.own(made)
            self._initdb(made, *([] if sync else ["--no-sync"]))
            made.rename(self.path)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _initdb(self, folder: Path, *options: str) -> None:
        command = guarded(
            self.account,
            folder,
            self._bin_dir / "initdb",
            f"--pgdata={folder}",
            f"--username={USER}",
            f"--pwfile={self._password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
            *options,
        )
        run(command)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
