"""What engines and their children owe the process that started them: to die with it, and to stop at its word only."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, even by SIGKILL.

    Linux only; elsewhere the closed channel tells.
    parent: the parent's process id, since it may have died before this call.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def leave_stopping_to_parent() -> None:
    """Overhear SIGTERM and SIGINT: Ctrl-C and service managers send them to every process, and the parent decides.

    A handler that does nothing, and not SIG_IGN: programs that a task starts would inherit that.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
