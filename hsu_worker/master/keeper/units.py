"""All started commands of one keeper: signals to them, their ends, and what escaped from them."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .processes import LINUX, ProcessLine, live_processes, process_line
from .unit import Unit

POLL = 0.02
"""Seconds between two looks at processes that outlive their leader."""
SLOW_POLL = 0.2
SLOW_AFTER = 1.0
"""Seconds without a signal after which nothing but slow looks are worth their cost."""


class Units:
    """Knows which processes belong to which command, and tells the master how they end."""

    def __init__(self, keeper: str, send: Callable[[dict[str, object]], None]) -> None:
        self._id = keeper
        self._send = send
        self._units: dict[int, Unit] = {}
        self._quick_until = 0.0
        self._spared: list[Unit] = []
        """What goes on without the master."""
        self._strays: set[int] = set()
        """Orphans of which nobody can say whose they are; each is told once."""

    def __contains__(self, number: int) -> bool:
        return number in self._units

    def __len__(self) -> int:
        return len(self._units)

    def leads(self, pid: int) -> bool:
        """Whether a process is that of a command."""
        return any(unit.pid == pid for unit in self._units.values())

    def add(self, number: int, pid: int, **more: object) -> None:
        """Note a command that runs now, and tell it, with more to say about its start."""
        unit = self._units[number] = Unit(number, pid, self._mark(number))
        with contextlib.suppress(OSError):
            line = process_line(unit.pid)
            unit.start = line.start if line else 0
        spawned = {"event": "spawned", "id": number, "pid": unit.pid, "start": unit.start}
        self._send(spawned | more)

    def handles(self) -> Iterator[int]:
        """What becomes readable with the end of an inherited leader."""
        return (unit.handle for unit in self._units.values() if unit.handle >= 0)

    def timeout(self) -> float | None:
        """Seconds until somebody has to look again; None: when something happens."""
        units = self._units.values()
        if any(unit.killing or not unit.running for unit in units):
            return POLL if time.monotonic() < self._quick_until else SLOW_POLL
        if any(unit.inherited and unit.handle < 0 for unit in units):
            return SLOW_POLL
        return None

    def hurry(self) -> None:
        """Look often for a while."""
        self._quick_until = time.monotonic() + SLOW_AFTER

    def signal_all(self, signum: int) -> None:
        self._pass_on(signum, list(self._units.values()))

    def spare(self, number: int) -> None:
        """Leave a command alone when the master is gone."""
        if number in self._units:
            self._units[number].outlives = True

    def let_go(self) -> None:
        """The master is gone: whatever outlives it is nobody's here any more."""
        self._spared = [unit for unit in self._units.values() if unit.outlives]
        with contextlib.suppress(OSError):
            processes = live_processes()
            for unit in self._spared:
                unit.note_descendants(processes)
        for unit in self._spared:
            del self._units[unit.id]

    def kill_all(self) -> bool:
        """
        Kill everything that is left; whether something was.

        Raises:
            OSError: It can't be seen now.
        """
        self.hurry()
        for unit in self._units.values():
            unit.killing = True
        self.sweep()
        if self._units:
            return True
        # Nobody is left who could miss them: descendants that no unit knows end here.
        rest = list(self._escaped(live_processes()))
        self._kill_each(rest)
        return bool(rest)

    def signal(self, number: int, signum: int) -> None:
        """Pass a signal on to a command; the answer is told."""
        unit = self._units.get(number)
        if unit is None:
            return
        if signum in signal.valid_signals():
            unit.killing = unit.killing or signum == signal.SIGKILL
            self.hurry()
            self._pass_on(signum, [unit])
        self._send({"event": "signalled", "id": number, "signal": signum})

    def _pass_on(self, signum: int, units: list[Unit]) -> None:
        try:
            processes = live_processes()
        except OSError:
            # Nobody can be looked for now: groups are reached, as far as they have a leader.
            processes = []
        for unit in units:
            with contextlib.suppress(OSError):
                unit.note_descendants(processes)
                unit.signal(signum, processes)

    def inherit(self, told: Any) -> None:
        """Take over a unit of a dead keeper; of its processes, those that can be proved to be its own."""
        number, pid, exited = int(told["id"]), int(told["pid"]), bool(told["exited"])
        mark, outlives = str(told["mark"]), bool(told["outlives"])
        unit = Unit(number, pid, mark, int(told["start"]), outlives=outlives, inherited=True)
        # What nobody waits for any more has to end.
        unit.killing = not pid
        try:
            unit.running = bool(pid) and not exited and self._prove(unit)
        except OSError as error:
            # The master starts another one, which may be able to look.
            sys.exit(f"the keeper can't take over: {error}")
        self._units[number] = unit
        self.hurry()
        if pid and not exited and not unit.running:
            self._report(unit, None, None, 0)
        for signum in told["signals"]:
            self.signal(number, int(signum))

    def _prove(self, unit: Unit) -> bool:
        """Whether the leader lives: pid, start and mark agree."""
        # Opened before the look, it can't be the handle of a later process with this pid.
        with contextlib.suppress(OSError):
            unit.handle = os.pidfd_open(unit.pid)
        line = process_line(unit.pid)
        if line and line.live and line.start == unit.start and unit.owns(line):
            return True
        self._let_go(unit)
        return False

    def _let_go(self, unit: Unit) -> None:
        if unit.handle >= 0:
            os.close(unit.handle)
            unit.handle = -1

    def _mark(self, number: int) -> str:
        return f"{self._id}/{number}"

    def reap(self) -> None:
        """Take note of the ends of children."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            for unit in self._units.values():
                if unit.running and not unit.inherited and unit.pid == pid:
                    unit.running = False
                    self._report(
                        unit,
                        code if code >= 0 else None,
                        -code if code < 0 else None,
                        usage.ru_maxrss * 1024 if LINUX else usage.ru_maxrss,
                    )

    def watch(self) -> None:
        """Notice the ends of inherited leaders: whose children they are learns how, and it isn't the keeper."""
        for unit in self._units.values():
            if unit.running and not unit.leads():
                unit.running = False
                self._let_go(unit)
                self._report(unit, None, None, 0)

    def _report(self, unit: Unit, code: int | None, signum: int | None, maxrss: int) -> None:
        self.hurry()
        self._send(
            {"event": "exited", "id": unit.id, "code": code, "signal": signum, "maxrss": maxrss}
        )

    def sweep(self) -> None:
        """Kill what has to be killed again, and tell which units are gone."""
        units = [unit for unit in self._units.values() if unit.killing or not unit.running]
        if not units:
            return
        processes = live_processes()
        again = None
        for unit in units:
            if unit.killing:
                unit.signal(signal.SIGKILL, processes)
            # While one list is read, a process may move between its lines: the second can't miss it.
            if not unit.running and not self._left(unit, processes):
                again = live_processes() if again is None else again
                if not self._left(unit, again):
                    del self._units[unit.id]
                    self._send({"event": "gone", "id": unit.id, "strays": self._new_strays(again)})
            elif unit.killing:
                self._kill_each(self._escaped(processes, unit))

    def _new_strays(self, processes: list[ProcessLine]) -> list[int]:
        """Orphans that have left their group and cleared their environment. They end with the master."""
        own = os.getpid()
        known = {unit.pid for unit in self._units.values()}
        strays = [
            line.pid
            for line in processes
            if line.parent == own
            and line.pid not in self._strays
            and not known.intersection((line.pid, line.group, line.session))
            and not any(f"/{self._id}/" in mark for mark in line.marks())
            and not any(unit.owns(line) for unit in self._units.values())
        ]
        self._strays.update(strays)
        return strays

    def _left(self, unit: Unit, processes: list[ProcessLine]) -> bool:
        """Whether anything of an ended leader still lives. What only escaped from its group is killed."""
        if unit.members(processes):
            return True
        escaped = list(self._escaped(processes, unit))
        self._kill_each(escaped)
        return bool(escaped)

    def _escaped(
        self, processes: Iterable[ProcessLine], unit: Unit | None = None
    ) -> Iterator[ProcessLine]:
        """
        What left the groups: orphans that came to the keeper, and, of inherited units, what carries their mark.

        Without a unit: all that is left of this master's commands when none is known any more.
        """
        own = os.getpid()
        leaders = {known.pid for known in self._units.values() if known.running}
        groups = {known.pid for known in self._units.values() if known.pid}
        for line in processes:
            if line.pid == own or line.pid in leaders:
                continue
            if line.group in groups or line.session in groups or self._is_spared(line):
                continue
            orphan = line.parent == own
            if unit is None:
                if orphan or any(f"/{self._id}/" in mark for mark in line.marks()):
                    yield line
            elif (orphan or unit.inherited) and unit.owns(line):
                yield line

    def _is_spared(self, line: ProcessLine) -> bool:
        return any(
            unit.pid in (line.group, line.session) or unit.owns(line) for unit in self._spared
        )

    def _kill_each(self, lines: Iterable[ProcessLine]) -> None:
        for line in lines:
            now = process_line(line.pid)
            if now is not None and now.start == line.start:
                with contextlib.suppress(OSError):
                    os.kill(line.pid, signal.SIGKILL)
