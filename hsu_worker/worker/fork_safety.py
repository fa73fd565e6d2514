"""What importing may leave behind in a process that no fork of it gets, or that all would share."""

import os
import signal
import threading
from typing import Final

_TIMERS: Final = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")


def why_unsafe() -> str:
    """Why forks of this process would not be what it is; empty when they would. Linux only."""
    return _threads() or _children() or _timers()


def _threads() -> str:
    """Only the thread that forks lives on."""
    if len(os.listdir("/proc/self/task")) == 1:
        return ""
    names = ", ".join(each.name for each in threading.enumerate()[1:]) or "of native code"
    return f"importing it starts threads ({names}), and no thread survives a fork"


def _children() -> str:
    try:
        # What has ended is nobody's to share.
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
            pass
    except ChildProcessError:
        return ""
    return f"importing it starts processes ({_names_of_children()}), and all forks would share them"


def _names_of_children() -> str:
    names = []
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            for pid in children.read().split():
                with open(f"/proc/{pid}/comm") as name:
                    names.append(name.read().strip())
    # One may have ended meanwhile, and not every kernel tells.
    except OSError:
        names.append("...")
    return ", ".join(names)


def _timers() -> str:
    for name in _TIMERS:
        if signal.getitimer(getattr(signal, name)) != (0.0, 0.0):
            return f"importing it sets a timer ({name}), and no fork keeps it"
    return ""
