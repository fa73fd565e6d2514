"""Notices when something keeps the event loop from turning, and names it.

A call of `time.sleep` in an `async def` holds up every other call, Ping and health. It costs a thread,
which sleeps while the loop does and otherwise looks at it now and then; and nothing per call.
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
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from types import FrameType
from typing import Any, Final, NamedTuple

from hsu_worker.serving.calls import Calls, ServedCall
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


def selector_of(loop: asyncio.AbstractEventLoop) -> Any:
    """In which asyncio's loops wait for something to do; None: a loop of another make.

    Nobody knows when that one wakes up, so it is asked for a turn twice in the time to watch for.
    """
    return getattr(loop, "_selector", None)


class _Watch:
    """The thread for one loop, and what wakes it up.

    The loop owes a turn from the moment at which it is asked for one, or wakes up by itself; it has paid
    as soon as it waits for something to do. While it rests it owes nothing, and nobody looks.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.calls: list[Calls] = []
        self._loop = loop
        self._seconds = seconds
        self._loops_thread = threading.get_ident()
        self._selector = selector_of(loop)
        self._select: Any = getattr(self._selector, "select", None)
        self._owed: _Turn | None = None
        #: The one that was missed, as the log tells.
        self._told: _Turn | None = None
        self._resting = False
        self._stirred = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hsu-blocked-loop", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more. Called on the loop's thread."""
        self._ended.set()
        self._stirred.set()
        self._thread.join()
        self._leave_selector()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._owed = _Turn.now()
            self._loop.call_soon_threadsafe(self._rest)
            # However often the loop wakes up.
            self._ended.wait(self._seconds / 2)
            self._look()
            self._stirred.wait()
            self._stirred.clear()
            self._look()

    def _rest(self) -> None:
        if self._selector is None:
            self._owed = None
            self._stirred.set()
        else:
            self._resting = True
            self._selector.select = self._wait

    def _wait(self, timeout: float | None = None) -> Any:
        """What the loop calls to wait for something to do: to rest, and after the turn that follows."""
        self._owed = None
        if not self._resting:
            self._leave_selector()
            return self._select(timeout)
        self._resting = False
        found = self._select(timeout)
        # Not by the thread: native code may keep it from running from now on.
        self._owed = _Turn.now()
        self._stirred.set()
        return found

    def _leave_selector(self) -> None:
        if self._selector is not None:
            self._selector.select = self._select

    def _look(self) -> None:
        """Wait until the loop has turned; tell when it does not, once."""
        pardoned = _Turn(0.0, 0.0)
        while (owed := self._owed) is not None and owed is not self._told:
            begun = max(owed, pardoned)
            planned = begun.since + self._seconds
            if self._ended.wait(planned - time.monotonic()):
                return
            now = time.monotonic()
            stood_still = time.process_time() - begun.used < _AT_WORK * (now - planned)
            if now - planned > _LATE * self._seconds and stood_still:
                # The process was stopped, or the machine had no time for it.
                pardoned = _Turn.now()
            elif self._tell(owed):
                self._loop.call_soon_threadsafe(self._turns_again, owed)
                self._stirred.wait()
            else:
                pardoned = _Turn.now()

    def _tell(self, owed: "_Turn") -> bool:
        # At once: what is seen may go on at any moment, and after native code does as soon as it can.
        stack = list(_outwards(sys._current_frames().get(self._loops_thread)))
        task = asyncio.current_task(self._loop)
        running = [call for calls in self.calls for call in calls.running()]
        seconds = time.monotonic() - owed.since
        if owed is not self._owed:
            return False
        if not stack or stack[0].file == selectors.__file__:
            # It waits for something to do, and is only slow to learn that it has.
            return False
        if any(_DEBUGGER.search(line.file) for line in stack):
            # Somebody sits at a breakpoint, and knows it.
            return False
        who, cure = _who(task, running)
        self._told = owed
        log.warning(
            "%s has kept the event loop from turning for at least %.1f s, and nothing else is "
            "answered: %s; %s",
            who,
            seconds,
            _place(stack),
            cure,
        )
        return True

    def _turns_again(self, owed: "_Turn") -> None:
        after = time.monotonic() - owed.since
        log.warning("the event loop turns again, after at least %.1f s", after)
        self._stirred.set()


def _who(task: "asyncio.Task[Any] | None", running: Sequence[ServedCall]) -> tuple[str, str]:
    for call in running:
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


class _Turn(NamedTuple):
    """One that the loop owes."""

    since: float
    """In `time.monotonic()` seconds."""
    used: float
    """What the process had used of the CPU then, in seconds."""

    @classmethod
    def now(cls) -> "_Turn":
        return cls(time.monotonic(), time.process_time())


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
