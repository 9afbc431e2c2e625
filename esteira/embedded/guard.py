"""Become a PostgreSQL program that is not root and does not outlive whoever asked for it.

Run as a script in an interpreter of its own: `guard.py PARENT UID GID DATA_DIR PROGRAM [ARGUMENT …]`. It imports the
standard library only. A fresh process and not a `preexec_fn`: running Python between fork and exec is unsafe in a
program that has threads.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main(parent: int, account: tuple[int, int], data_dir: Path, command: list[str]) -> None:
    """Drop root, check the way to the files, tie this process to its parent, and turn into `command`."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(account[1])
        os.setuid(account[0])
    for path in (Path(command[0]), data_dir):
        check_reachable(path)
    if sys.platform == "linux":
        # After setuid, which clears it.
        die_with_parent(parent)
    os.execv(command[0], command)  # noqa: S606  # no shell is wanted


def check_reachable(path: Path) -> None:
    """Exit with a sentence when this account cannot enter a folder on the way to `path`."""
    for folder in reversed(path.parents):
        if not os.access(folder, os.X_OK):
            user = pwd.getpwuid(os.getuid()).pw_name
            sys.exit(
                f"the account {user}, which runs PostgreSQL, may not enter {folder}, which leads to {path}."
                f" Use a place that {user} can reach, or allow it: chmod o+x {folder}"
                " (as root PostgreSQL runs under another account; as a normal user it would run under yours)"
            )


def die_with_parent(parent: int) -> None:
    """Ask Linux for a fast shutdown (SIGINT) when the thread that started this process dies."""
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) failed: the server could outlive this program, so it was not started")
    if os.getppid() != parent:
        sys.exit("the program that asked for PostgreSQL died meanwhile")


if __name__ == "__main__":
    main(int(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3])), Path(sys.argv[4]), sys.argv[5:])
