"""SIGTERM and SIGINT: the first asks the process to leave, the second ends it."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Collection, Generator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, Final

from hsu_worker.serving.terminal import terminal_restorer

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

#: The signals that are taken, the later ones last: number, our handler, and what was there before.
_taken: Final[list[tuple[int, object, Any]]] = []


@contextmanager
def signals_lead_to(
    leave: Callable[[str], object], numbers: Collection[signal.Signals] = _SIGNALS
) -> Generator[None, None, None]:
    """Take the signals while the block runs; afterwards they do what they did before.

    Args:
        leave: Called on the loop with the name of the first signal.

        numbers: Which.
    """
    # asyncio's own way runs a handler only when the loop is free, and what blocks the loop is what
    # a second signal is for. A plain handler alone would not wake the loop. So: both.
    loop = asyncio.get_running_loop()
    seen: list[int] = []
    restore_terminal = terminal_restorer()

    def count(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            restore_terminal()
            os._exit(128 + number)

    with ExitStack() as taken:
        for number in numbers:
            before = signal.getsignal(number)
            loop.add_signal_handler(number, leave, signal.Signals(number).name)
            taken.enter_context(taking(number, count, before))
            taken.callback(loop.remove_signal_handler, number)
        yield


@contextmanager
def taking(
    number: int, handler: Callable[[int, FrameType | None], object], before: Any
) -> Generator[None, None, None]:
    """Handle a signal while the block runs, in this process and in none that it forks.

    Args:
        number: Which.

        handler: What is called.

        before: What handles it afterwards, and in children.
    """
    signal.signal(number, handler)
    # As asyncio does it: native code that waits in the kernel goes on waiting.
    signal.siginterrupt(number, False)
    entry = (number, handler, before)
    _taken.append(entry)
    try:
        yield
    finally:
        _taken.remove(entry)
        signal.signal(number, before)


class _Fork(threading.local):
    """The fork that a thread makes."""

    mask: Collection[int] | None = None

    def begins(self) -> None:
        # What comes before the child is itself would be told to its parent's loop: they share the descriptor.
        if _taken:
            self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def ends(self) -> None:
        if self.mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
            self.mask = None

    def is_child(self) -> None:
        if _taken:
            signal.set_wakeup_fd(-1)
            for number, handler, before in reversed(_taken):
                # What the user's code has put there stays.
                if signal.getsignal(number) is handler:
                    signal.signal(number, before)
        self.ends()


_fork: Final = _Fork()
os.register_at_fork(before=_fork.begins, after_in_parent=_fork.ends, after_in_child=_fork.is_child)
