"""Notices when something keeps the event loop from turning, and names it.

A call of `time.sleep` in an `async def` holds up every other call, Ping and health. It costs a timer
of the loop and a thread that looks at it, and nothing per call.
"""

import asyncio
import linecache
import logging
import os
import re
import selectors
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import takewhile
from types import FrameType
from typing import Any, Final, NamedTuple

from hsu_worker.serving.calls import Calls
from hsu_worker.worker.lifecycle import LIFESPANS

log = logging.getLogger(__name__)

#: The loops that are watched: several workers may share one, in a test.
_WATCHED: Final[dict[asyncio.AbstractEventLoop, "_Watch"]] = {}

#: A look that comes by so many times the time to watch for too late says that the whole process stood
#: still; unless it used the CPU for so much of that, as native code does that lets no thread run.
_LATE: Final = 0.5
_AT_WORK: Final = 0.1

#: What pdb and the debuggers of editors are made of.
_DEBUGGER: Final = re.compile(r"\bbdb\.py$|[/\\]_?pydevd")

_OURS: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
_ASYNCIO: Final = os.path.dirname(asyncio.__file__) + os.sep


@contextmanager
def blocked_loop_told(calls: Calls, seconds: float | None) -> Generator[None, None, None]:
    """Log a warning, while the block runs, each time that the loop has not turned for so long.

    Args:
        calls: Among which what blocks it is looked for.

        seconds: None: nobody looks.
    """
    if seconds is None:
        yield
        return
    loop = asyncio.get_running_loop()
    if loop not in _WATCHED:
        _WATCHED[loop] = _Watch(loop, seconds)
    watch = _WATCHED[loop]
    watch.calls.append(calls)
    try:
        yield
    finally:
        watch.calls.remove(calls)
        if not watch.calls:
            del _WATCHED[loop]
            watch.end()


class _Watch:
    """The timer and the thread for one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.calls: list[Calls] = []
        self._loop = loop
        self._seconds = seconds
        self._loops_thread = threading.get_ident()
        self._ended = threading.Event()
        #: When the timer has to fire.
        self._due = 0.0
        #: The one that was missed, as the log tells.
        self._told = -1.0
        self._turn()
        self._thread = threading.Thread(target=self._look, name="hsu-blocked-loop", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more. Called on the loop's thread."""
        self._timer.cancel()
        self._ended.set()
        self._thread.join()

    def _turn(self) -> None:
        now = time.monotonic()
        if self._told == self._due:
            log.warning("the event loop turns again, after at least %.1f s", now - self._due)
        pause = self._seconds / 2
        self._due = now + pause
        self._timer = self._loop.call_later(pause, self._turn)

    def _look(self) -> None:
        pardoned = 0.0
        while True:
            now, used = time.monotonic(), time.process_time()
            since = now if self._told == self._due else max(self._due, pardoned)
            planned = since + self._seconds
            if self._ended.wait(planned - now):
                return
            now = time.monotonic()
            stood_still = time.process_time() - used < _AT_WORK * (now - planned)
            if now - planned > _LATE * self._seconds and stood_still:
                # The process was stopped, or the machine had no time for it.
                pardoned = now
            elif now - self._due >= self._seconds and self._told != self._due:
                self._tell(self._due)
                pardoned = now

    def _tell(self, due: float) -> None:
        # At once: what is seen may go on at any moment.
        stack = list(_outwards(sys._current_frames().get(self._loops_thread)))
        who, cure = self._who(asyncio.current_task(self._loop))
        if not stack or stack[0].file == selectors.__file__:
            # It waits for something to do, and is only slow to learn that it has.
            return
        if any(_DEBUGGER.search(line.file) for line in stack):
            # Somebody sits at a breakpoint, and knows it.
            return
        if due == self._due:
            self._told = due
            log.warning(
                "%s has kept the event loop from turning for at least %.1f s, and nothing else is "
                "answered: %s; %s",
                who,
                time.monotonic() - due,
                _place(stack),
                cure,
            )

    def _who(self, task: "asyncio.Task[Any] | None") -> tuple[str, str]:
        for calls in self.calls:
            for call in calls.running():
                if call.task is task:
                    return (
                        f"{call.interface.name}/{call.method.name} (call {call.id})",
                        "make the handler a plain `def`, or run this in asyncio.to_thread",
                    )
        cure = "run this in asyncio.to_thread"
        if task is None:
            return "a callback", cure
        if task.get_name() == LIFESPANS:
            return "a lifespan", f"make it a plain generator, or {cure}"
        return f"the task {getattr(task.get_coro(), '__qualname__', task.get_name())}", cure


class _Line(NamedTuple):
    """Where a function stands."""

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        text = linecache.getline(self.file, self.number).strip()
        where = f"{self.file}:{self.number} in {self.function}"
        return f"{where}: {text}" if text else where


def _outwards(frame: FrameType | None) -> Iterator[_Line]:
    while frame is not None:
        code = frame.f_code
        yield _Line(code.co_filename, frame.f_lineno, code.co_qualname)
        frame = frame.f_back


def _place(stack: list[_Line]) -> str:
    """The author's own line, and where it has led to."""
    inner = list(takewhile(lambda line: not line.file.startswith((_OURS, _ASYNCIO)), stack))
    own = inner[-1] if inner else stack[0]
    return str(own) if own is stack[0] else f"{own}, which leads to {stack[0]}"
