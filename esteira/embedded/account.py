"""Whom to run PostgreSQL as: ourselves, or an unprivileged account when we are root."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.embedded.errors import EmbeddedPostgresError

if TYPE_CHECKING:
    from pathlib import Path

UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """The user and group that own a data directory and run its server."""

    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give a file or folder that we made to this account; does nothing unless we are root."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)


def server_account(data_dir: Path) -> Account:
    """Return ourselves, or as root the owner of an existing `data_dir`, else the first unprivileged account there is.

    Raises EmbeddedPostgresError when root finds none.
    """
    if os.geteuid() != 0:
        return Account(os.getuid(), os.getgid())
    if data_dir.exists() and data_dir.stat().st_uid != 0:
        return Account(data_dir.stat().st_uid, data_dir.stat().st_gid)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        "PostgreSQL refuses to run as root, and there is no account named postgres or nobody to run it as."
        " Create one (useradd --system postgres), or run this as a normal user"
    )
