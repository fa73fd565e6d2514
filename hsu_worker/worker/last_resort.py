"""The end of a process that hangs on its way out."""

import faulthandler
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from hsu_worker.serving.signals import taking

#: Seconds after the last call, or its grace, after which the process ends whatever it still waits for:
#: the contract's 10 s, less what that takes.
LAST_RESORT: Final = 9.8
#: Seconds; none at all is not possible.
_AT_ONCE: Final = 0.001

#: When the process was asked to have ended, and when it will.
_asked: Final[list[float]] = []
_ends_at = math.inf
#: A signal's handler may come in between.
_changing = threading.RLock()


def end_within(seconds: float) -> None:
    """End the process after that time, with the code HUNG, and show on stderr where each thread is.

    Not by a thread of ours: native code that holds the GIL would stop it, too. Who asks later can only
    shorten the time.
    """
    global _ends_at
    with _changing:
        _asked.append(time.monotonic() + seconds)
        # Whoever came in between has asked as well, and what is told to faulthandler last holds.
        while _ends_at != (soonest := min(_asked)):
            left = max(soonest - time.monotonic(), _AT_ONCE)
            faulthandler.dump_traceback_later(min(left, threading.TIMEOUT_MAX), exit=True, file=2)
            _ends_at = soonest


@contextmanager
def sigterm_ends_within(seconds: float) -> Generator[None, None, None]:
    """Bound what follows SIGTERM, while the block runs, as `end_within` does.

    Not SIGINT: whoever presses Ctrl-C at a breakpoint can press it again.
    """
    # A handler in Python runs between two instructions of the main thread, and never while that is in
    # native code; so a thread reads what CPython's own handler writes, and passes it on to the loop.
    # A thread does not run while native code holds the GIL; but some of that, such as `re`, has
    # handlers run now and then. So: both. (What does neither, the master kills.)
    read, write = socket.socketpair()
    write.setblocking(False)
    loops = signal.set_wakeup_fd(write.fileno())
    before = signal.getsignal(signal.SIGTERM)
    assert callable(before)

    def watch() -> None:
        while seen := read.recv(64):
            # A loop that has so much to read wakes up anyway.
            with suppress(BlockingIOError):
                os.write(loops, seen)
            if signal.SIGTERM in seen:
                end_within(seconds)

    def handle(number: int, frame: FrameType | None) -> None:
        end_within(seconds)
        before(number, frame)

    thread = threading.Thread(target=watch, name="hsu-sigterm", daemon=True)
    thread.start()
    try:
        with taking(signal.SIGTERM, handle, before):
            yield
    finally:
        signal.set_wakeup_fd(loops)
        # A process that the user's code has forked may hold it, too.
        write.shutdown(socket.SHUT_WR)
        write.close()
        thread.join()
        read.close()
