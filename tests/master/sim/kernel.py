"""A kernel that exists in this process alone: processes, their signals, and the time that passes for them.

It goes on while no master runs; what keepers and masters ask of it is at the end.
"""

import heapq
import itertools
import os
import select
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from hsu_worker.master.keeper.processes import ProcessLine
from tests.master.sim.clock import VirtualLoop

#: Pids are few, so that strangers soon have those of workers.
PIDS = range(100, 112)
INIT = 1

#: As wait4 tells an exit code of 1.
FAILED = 1 << 8


@dataclass(eq=False, slots=True)
class Proc:
    """One process: a worker, or a stranger without variables."""

    pid: int
    start: int
    parent: int
    mark: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    live: bool = True
    status: int = 0
    announced: bool = False
    greeted: bool = False
    """A handshake has claimed it."""
    recorded: bool = False
    """Its record names its pid: it outlives its master."""
    ready: float | None = None
    """When its lifespans are entered."""
    leaving: bool = False
    """It was asked to leave, or signalled."""
    said: int = 0
    """Lines that it has printed."""
    untouchable: str = ""
    """Why nobody may signal it."""
    on_end: list[Callable[[], None]] = field(default_factory=list)

    @property
    def unit(self) -> str:
        return self.variables.get("HSU_UNIT", "")

    @property
    def instance(self) -> str:
        return self.variables.get("HSU_INSTANCE", "")

    def __str__(self) -> str:
        return f"pid {self.pid} of {self.unit or 'a stranger'}"


class Asker(Protocol):
    """A keeper, while it looks."""

    pid: int

    @property
    def alive(self) -> bool: ...

    @property
    def left_alone(self) -> bool:
        """Its master is gone."""

    def turn(self) -> None: ...


class Kernel:
    """One machine.

    Args:
        dice: Decides what is left to chance.

        breaks: Takes what nobody may do.
    """

    def __init__(self, dice: Random, breaks: Callable[[str], None]) -> None:
        self.dice = dice
        self.boot = "boot 1"
        self.table: dict[int, Proc] = {}
        self.keepers: list[Asker] = []
        self.readers: dict[int, Callable[[bytes], None]] = {}
        """Who reads announce pipes, by the descriptor that a worker would write to."""
        self.has_handles = dice.random() < 0.7
        """Whether there is pidfd_open."""
        self._breaks = breaks
        self._handles: dict[int, Proc] = {}
        self._numbers = itertools.count(1)
        self._heap: list[tuple[float, float, int, Callable[[], None]]] = []
        self._loop: VirtualLoop | None = None
        self._now = 1000.0
        self.asker: Asker | None = None
        """The keeper whose turn it is."""

    # Time.

    @property
    def now(self) -> float:
        return self._now if self._loop is None else self._loop.time()

    def at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, self.dice.random(), next(self._numbers), act))
        if self._loop is not None:
            self._loop.call_at(when, self._next)

    def later(self, most: float, act: Callable[[], None]) -> None:
        self.at(self.now + self.dice.uniform(0.0, most), act)

    def follow(self, loop: VirtualLoop | None) -> None:
        """From now on its time is a loop's; None: nobody's."""
        self._now = self.now
        self._loop = loop
        if loop is not None:
            for when, *_ in self._heap:
                loop.call_at(when, self._next)

    def _next(self) -> None:
        if self._loop is not None:
            heapq.heappop(self._heap)[3]()

    def pass_time(self, seconds: float) -> None:
        """While no master runs."""
        until = self._now + seconds
        while self._heap and self._heap[0][0] <= until:
            self._now, _, _, act = heapq.heappop(self._heap)
            act()
        self._now = until

    # Processes.

    def workers(self) -> list[Proc]:
        return [proc for proc in self.table.values() if proc.live and proc.instance]

    def worker(self, instance: str) -> Proc | None:
        return next((proc for proc in self.workers() if proc.instance == instance), None)

    def make(self, parent: int, mark: str = "", pid: int = 0, **variables: str) -> Proc:
        """A process; its pid may have been another one's."""
        free = [each for each in PIDS if each not in self.table]
        proc = Proc(
            pid=pid or self.dice.choice(free or [1000 + next(self._numbers)]),
            start=next(self._numbers),
            parent=parent,
            mark=mark,
            variables=variables,
        )
        self.table[proc.pid] = proc
        return proc

    def stranger(self, pid: int = 0) -> None:
        """Somebody's process that is nobody's business."""
        if pid not in self.table and len(self.table) < len(PIDS):
            proc = self.make(INIT, pid=pid)
            proc.untouchable = "a stranger"

    def end(self, proc: Proc, status: int = 0) -> None:
        if not proc.live:
            return
        proc.live, proc.status = False, status
        if not any(keeper.alive and keeper.pid == proc.parent for keeper in self.keepers):
            del self.table[proc.pid]
        acts, proc.on_end = proc.on_end, []
        for act in acts:
            act()
        for keeper in self.keepers:
            if keeper.alive:
                self.later(0.01, keeper.turn)

    def orphan(self, parent: int) -> None:
        """A keeper is gone: its children are init's, which waits for them."""
        for proc in [each for each in self.table.values() if each.parent == parent]:
            proc.parent = INIT
            if not proc.live:
                del self.table[proc.pid]

    def reboot(self) -> None:
        self.boot = f"boot {next(self._numbers)}"
        for proc in [*self.table.values()]:
            self.end(proc)
        self.table.clear()

    # What is asked of it.

    @contextmanager
    def asked_by(self, keeper: Asker) -> Iterator[None]:
        before, self.asker = self.asker, keeper
        try:
            yield
        finally:
            self.asker = before

    def line(self, pid: int) -> ProcessLine | None:
        proc = self.table.get(pid)
        if proc is None:
            return None
        marks = [f"/{proc.mark}/"] if proc.mark else []
        return ProcessLine(pid, proc.live, proc.parent, pid, pid, proc.start, marks)

    def lines(self) -> list[ProcessLine]:
        found = (self.line(pid) for pid in self.table)
        return [line for line in found if line is not None and line.live]

    def kill(self, pid: int, signum: int) -> None:
        proc = self.table.get(pid)
        if proc is None:
            raise ProcessLookupError
        if not proc.live:
            return
        if proc.untouchable:
            self._breaks(f"{proc} is signalled: {proc.untouchable}")
        if proc.recorded and self.asker is not None and self.asker.left_alone:
            self._breaks(f"{proc} outlives its master, whose keeper ends it")
        proc.leaving = True
        if signum == signal.SIGKILL:
            self.end(proc, signum)
        else:
            self.later(self.dice.choice((0.1, 1.0, 5.0)), lambda: self.end(proc))

    killpg = kill

    def getpid(self) -> int:
        assert self.asker is not None
        return self.asker.pid

    def wait4(self, _pid: int, _options: int) -> tuple[int, int, Any]:
        own = [each for each in self.table.values() if each.parent == self.getpid()]
        if not own:
            raise ChildProcessError
        for proc in own:
            if not proc.live:
                del self.table[proc.pid]
                return proc.pid, proc.status, _Usage
        return 0, 0, _Usage

    def pidfd_open(self, pid: int) -> int:
        if pid not in self.table or not self.has_handles:
            raise ProcessLookupError
        handle = 1_000_000 + next(self._numbers)
        self._handles[handle] = self.table[pid]
        return handle

    def close(self, handle: int) -> None:
        if self._handles.pop(handle, None) is None:
            os.close(handle)

    def monotonic(self) -> float:
        return self.now

    def poll(self) -> "_Poll":
        return _Poll(self._handles)

    def __getattr__(self, name: str) -> Any:
        """The rest of what the modules `os` and `select` have."""
        return getattr(os, name) if hasattr(os, name) else getattr(select, name)


class _Usage:
    ru_maxrss = 0


class _Poll:
    """Of one handle."""

    def __init__(self, handles: Mapping[int, Proc]) -> None:
        self._handles = handles

    def register(self, handle: int, _events: int) -> None:
        self._proc = self._handles[handle]

    def poll(self, _timeout: float) -> list[object]:
        return [] if self._proc.live else [self._proc]
