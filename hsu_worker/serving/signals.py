"""SIGTERM and SIGINT: the first asks the process to leave, the second ends it."""

import asyncio
import os
import signal
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from hsu_worker.serving.terminal import terminal_restorer

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


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
    before = {number: signal.getsignal(number) for number in numbers}
    seen: list[int] = []
    restore_terminal = terminal_restorer()

    def count(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            restore_terminal()
            os._exit(128 + number)

    for number in numbers:
        loop.add_signal_handler(number, leave, signal.Signals(number).name)
        signal.signal(number, count)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
