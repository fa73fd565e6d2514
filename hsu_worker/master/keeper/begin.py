"""From the first line of a keeper's process to its loop."""

import contextlib
import os
import signal
import socket
import sys

from . import MARK
from .frames import Frames
from .loop import Keeper
from .processes import LINUX

PR_SET_CHILD_SUBREAPER = 36
RUNTIME_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these for itself, and gives started commands the default."""


def open_parent(pid: int) -> int:
    """A pidfd of the master; -1 where the kernel has none, or when its socket is known to end."""
    handle = -1
    with contextlib.suppress(OSError, AttributeError):
        handle = os.pidfd_open(pid)
    if os.getppid() != pid:
        sys.exit("the master ended before its keeper began")
    return handle


def become_subreaper() -> None:
    """Orphaned descendants come to the keeper instead of the system's first process."""
    if not LINUX:
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return


def own_signals() -> int:
    """Outlive the terminal's signals, and return a descriptor that becomes readable with each of them."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN and number not in RUNTIME_IGNORES:
            signal.signal(number, signal.SIG_DFL)
    # An ignored signal stays ignored in a started command; one with a handler does not.
    for number in (
        signal.SIGCHLD,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGTERM,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
    ):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    return reading


def main() -> None:
    # recv_fds and wait4 import these when they are first called: then no descriptor may be free.
    for name in ("array", "resource"):
        __import__(name)
    # A received descriptor must never be one of the standard three.
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(spare)
    wakeup = own_signals()
    become_subreaper()
    # Descriptor 0 stays open behind it as /dev/null: the socket must end when this end is closed.
    master = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    master.setblocking(False)
    parent = open_parent(int(sys.argv[1]))
    Keeper(Frames(master), parent, wakeup, os.environ[MARK]).run()
