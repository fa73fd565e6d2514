"""
The keeper: a small process between the master and what it launches.

It starts commands for the master, each in a session of its own, reports how they end, and stops all of them
when the master is gone. It is run as a script (`python -I -S keeper.py <pid of the master>`), is
single-threaded, and imports nothing but the standard library. Descriptor 0 is its socket to the master.

A frame on the socket is a length (4 bytes) and that much JSON; descriptors come with its first byte.

Whatever descends from a keeper carries the marks of the keepers above it in HSU_KEEPER_ID, outermost first:
of each keeper its id, then the number of the command. All keepers of one master have the same id, so that one
can take over what another, which was killed, has started.
"""

import contextlib
import errno
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

HEADER = struct.Struct("!I")
GRACE = 0.7
"""Seconds between SIGTERM and SIGKILL once the master is gone."""
POLL = 0.02
"""Seconds between two looks at processes that outlive their leader."""
SLOW_POLL = 0.2
SLOW_AFTER = 1.0
"""Seconds without a signal after which nothing but slow looks are worth their cost."""
GIVE_UP = 3.0
"""Seconds after the last SIGKILL in which the kernel has to end the rest."""
MARK = "HSU_KEEPER_ID"
PR_SET_CHILD_SUBREAPER = 36
VANISHED = (FileNotFoundError, ProcessLookupError, PermissionError)
"""What reading about a process raises if it has ended, or is nobody's business."""
# Annotated, so that type checkers read the code of both platforms.
LINUX: bool = sys.platform == "linux"


@dataclass
class ProcessLine:
    """What `/proc/<pid>/stat` tells."""

    pid: int
    live: bool
    parent: int
    group: int
    session: int
    start: int
    """When it started, in the kernel's ticks: with the pid, it names one process for ever."""
    seen_marks: list[str] | None = None

    def marks(self) -> list[str]:
        """Its marks, which are read once: many units may ask."""
        if self.seen_marks is None:
            self.seen_marks = marks(self.pid)
        return self.seen_marks


def process_line(pid: int) -> ProcessLine | None:
    """
    None if there is no such process.

    Raises:
        OSError: It can't be read now, which says nothing about the process.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except VANISHED:
        return None
    if len(fields) < 20:
        return None
    parent, group, session, start = (int(fields[index]) for index in (1, 2, 3, 19))
    return ProcessLine(pid, fields[0] not in "ZXx", parent, group, session, start)


def live_processes() -> list[ProcessLine]:
    """
    All of them; none where there is no /proc.

    Raises:
        OSError: They can't be read now.
    """
    try:
        names = os.listdir("/proc")
    except FileNotFoundError:
        return []
    lines = (process_line(int(name)) for name in names if name.isdigit())
    return [line for line in lines if line is not None and line.live]


def marks(pid: int) -> list[str]:
    """The marks in the environment of a process, each between slashes; mostly one, or none."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except VANISHED:
        return []
    prefix = f"{MARK}=".encode()
    own = (v[len(prefix) :] for v in variables if v.startswith(prefix))
    return [f"/{value.decode(errors='replace')}/" for value in own]


@dataclass
class Unit:
    """One started command: its leader, and everything that descends from it."""

    id: int
    pid: int
    """0 where a dead keeper could not tell whether there is one."""
    mark: str
    start: int = 0
    running: bool = True
    killing: bool = False
    inherited: bool = False
    """Started by a keeper that is dead: neither its leader nor its orphans come to this one."""
    handle: int = -1
    """A pidfd of an inherited leader; -1 where the kernel has none."""
    descendants: set[tuple[int, int]] = field(default_factory=set)
    """Pids and starts of those that descended from the leader when it was last signalled."""

    def leads(self) -> bool:
        """Whether the leader still lives, and so the pid is its own."""
        if not self.inherited or not self.running:
            return self.running
        if self.handle >= 0:
            watch = select.poll()
            watch.register(self.handle, select.POLLIN)
            return not watch.poll(0)
        line = process_line(self.pid)
        return line is not None and line.live and line.start == self.start

    def members(self, processes: Iterable[ProcessLine]) -> list[ProcessLine]:
        """The live processes of its group and session."""
        if not self.pid:
            return []
        if LINUX:
            found = [line for line in processes if self.pid in (line.group, line.session)]
            # Once its pid may be somebody else's, a mark has to prove whose group it is.
            proven = not self.inherited or self.leads() or any(self.owns(line) for line in found)
            return found if proven else []
        try:
            os.killpg(self.pid, 0)
        except OSError:
            return []
        return [ProcessLine(self.pid, True, os.getpid(), self.pid, self.pid, 0)]

    def note_descendants(self, processes: Iterable[ProcessLine]) -> None:
        """Remember those who can be told by their parents only, as long as these live."""
        if not (LINUX and self.leads()):
            return
        children: dict[int, list[ProcessLine]] = {}
        for line in processes:
            children.setdefault(line.parent, []).append(line)
        found = [self.pid]
        while found:
            for child in children.get(found.pop(), ()):
                self.descendants.add((child.pid, child.start))
                found.append(child.pid)

    def owns(self, line: ProcessLine) -> bool:
        """Whether a process is the unit's: by its mark in the environment, or as a known descendant."""
        if (line.pid, line.start) in self.descendants:
            return True
        own = f"/{self.mark}/"
        # Until its exec, a process looks like the keeper that made it.
        keeper = None if self.pid else f"/{self.mark.partition('/')[0]}/"
        return any(own in mark or (keeper and mark.endswith(keeper)) for mark in line.marks())

    def signal(self, number: int, processes: Iterable[ProcessLine]) -> None:
        members = self.members(processes)
        # A pid is free for others once its leader is reaped and its group is empty.
        if self.leads() or members:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, number)
        for member in members:
            if member.group == self.pid:
                continue
            with contextlib.suppress(OSError):
                now = process_line(member.pid)
                if now is not None and now.live and now.session == self.pid:
                    os.kill(member.pid, number)


class Keeper:
    """The loop: requests, ends of children, and the end of the master."""

    def __init__(self, master: socket.socket, parent: int, wakeup: int, path: str) -> None:
        self._master = master
        self._parent = parent
        """A pidfd of the master: what it forks may hold the socket's other end. -1: there is none."""
        self._wakeup = wakeup
        self._path = path
        self._id = path.rpartition("/")[2]
        self._input = bytearray()
        self._descriptors: list[int] = []
        self._output = bytearray()
        self._units: dict[int, Unit] = {}
        self._kill_at: float | None = None
        """Set when the master is gone."""
        self._quick_until = 0.0
        self._strays: set[int] = set()
        """Orphans of which nobody can say whose they are; each is told once."""

    def run(self) -> None:
        while not self._finished():
            ready = self._wait()
            if self._wakeup in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 4096)
            self._reap()
            # What can't be read now says nothing: the next turn looks again.
            with contextlib.suppress(OSError):
                self._watch()
                self._sweep()
            if self._kill_at is None and ready.get(self._master.fileno(), 0) & ~select.POLLOUT:
                while self._receive():
                    pass
            if self._kill_at is None and self._parent in ready:
                self._disconnected()
            if self._kill_at is None:
                self._flush()

    def _wait(self) -> dict[int, int]:
        events = select.poll()
        events.register(self._wakeup, select.POLLIN)
        if self._kill_at is None:
            writing = select.POLLOUT if self._output else 0
            events.register(self._master, select.POLLIN | writing)
            if self._parent >= 0:
                events.register(self._parent, select.POLLIN)
        for unit in self._units.values():
            if unit.handle >= 0:
                events.register(unit.handle, select.POLLIN)
        timeout = self._timeout()
        return dict(events.poll(None if timeout is None else timeout * 1000))

    def _timeout(self) -> float | None:
        now = time.monotonic()
        units = self._units.values()
        if self._kill_at is not None and not units:
            return POLL
        if any(unit.killing or not unit.running for unit in units):
            return POLL if now < self._quick_until else SLOW_POLL
        if self._kill_at is not None:
            return POLL if now >= self._kill_at else self._kill_at - now
        if any(unit.inherited and unit.handle < 0 for unit in units):
            return SLOW_POLL
        return None

    def _hurry(self) -> None:
        self._quick_until = time.monotonic() + SLOW_AFTER

    def _finished(self) -> bool:
        if self._kill_at is None:
            return False
        now = time.monotonic()
        if now >= self._kill_at + GIVE_UP:
            return True
        try:
            if now >= self._kill_at:
                self._hurry()
                for unit in self._units.values():
                    unit.killing = True
                self._sweep()
            if self._units:
                return False
            # Nobody is left who could miss them: descendants that no unit knows end here.
            rest = list(self._escaped(live_processes()))
            self._kill_each(rest)
        except OSError:
            return False
        return not rest

    # Requests

    def _receive(self) -> bool:
        """Handle one request; False if none is complete."""
        # Never more than its frame is read: what comes with it is then its own.
        while lacking := self._lacking():
            try:
                data, descriptors, _, _ = socket.recv_fds(self._master, min(lacking, 1 << 16), 16)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                data, descriptors = b"", []
            self._descriptors += descriptors
            if not data:
                self._disconnected()
                return False
            self._input += data
        body = bytes(self._input[HEADER.size :])
        taken = self._descriptors
        self._input.clear()
        self._descriptors = []
        request = None
        try:
            request = json.loads(body)
            self._handle(request, taken)
        except Exception:
            # Whatever a request holds, the processes of the others must not end with it.
            refused: dict[str, object] = {"event": "refused", "error": "the request is malformed"}
            number = request.get("id") if isinstance(request, dict) else None
            self._send(refused | {"id": number} if isinstance(number, int) else refused)
        finally:
            for descriptor in taken:
                os.close(descriptor)
        return True

    def _lacking(self) -> int:
        """The number of bytes that the frame still lacks."""
        if len(self._input) < HEADER.size:
            return HEADER.size - len(self._input)
        (length,) = HEADER.unpack_from(self._input)
        return int(HEADER.size + length - len(self._input))

    def _disconnected(self) -> None:
        self._kill_at = time.monotonic() + GRACE
        self._hurry()
        self._master.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []
        self._pass_on(signal.SIGTERM, list(self._units.values()))

    def _handle(self, request: Any, descriptors: list[int]) -> None:
        match request["op"]:
            case "spawn":
                self._spawn(request, descriptors)
            case "signal":
                self._signal(int(request["id"]), int(request["signal"]))
            case "take-over":
                for told in request["units"]:
                    self._inherit(told)
            case _:
                raise ValueError

    def _spawn(self, request: Any, descriptors: list[int]) -> None:
        number = int(request["id"])
        announce = bool(request.get("announce", False))
        if number in self._units:
            raise ValueError
        cwd = str(request["cwd"])
        failed: dict[str, object] = {"event": "failed", "id": number, "about": "command"}
        if len(descriptors) != 3 + announce:
            error = "the keeper has no free file descriptors"
            self._send(failed | {"errno": errno.EMFILE, "error": error})
            return
        if not os.path.isdir(cwd):
            error = os.strerror(errno.ENOENT)
            self._send(failed | {"about": "cwd", "errno": errno.ENOENT, "error": error})
            return
        try:
            environment = {str(name): str(value) for name, value in request["env"].items()}
            environment[MARK] = f"{self._path}/{number}"
            if announce:
                environment["HSU_ANNOUNCE_FD"] = str(descriptors[3])
            process = subprocess.Popen(
                [str(word) for word in request["argv"]],
                env=environment,
                cwd=cwd,
                stdin=descriptors[0],
                stdout=descriptors[1],
                stderr=descriptors[2],
                pass_fds=descriptors[3:],
                start_new_session=True,
            )
        except OSError as error:
            number_of_error = error.errno or errno.EIO
            self._send(
                failed
                | {
                    "about": "cwd" if error.filename == cwd else "command",
                    "errno": number_of_error,
                    "error": os.strerror(number_of_error),
                }
            )
            return
        except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            self._send(failed | {"errno": errno.EINVAL, "error": str(error)})
            return
        # Only the loop reaps: a Popen that is told its end never waits.
        process.returncode = 0
        unit = self._units[number] = Unit(number, process.pid, self._mark(number))
        with contextlib.suppress(OSError):
            line = process_line(unit.pid)
            unit.start = line.start if line else 0
        self._send({"event": "spawned", "id": number, "pid": unit.pid, "start": unit.start})

    def _mark(self, number: int) -> str:
        return f"{self._id}/{number}"

    def _signal(self, number: int, signum: int) -> None:
        unit = self._units.get(number)
        if unit is None:
            return
        if signum in signal.valid_signals():
            unit.killing = unit.killing or signum == signal.SIGKILL
            self._hurry()
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

    def _inherit(self, told: Any) -> None:
        """Take over a unit of a dead keeper; of its processes, those that can be proved to be its own."""
        number, pid, exited = int(told["id"]), int(told["pid"]), bool(told["exited"])
        unit = Unit(number, pid, self._mark(number), int(told["start"]), inherited=True)
        # What nobody waits for any more has to end.
        unit.killing = not pid
        try:
            unit.running = bool(pid) and not exited and self._prove(unit)
        except OSError as error:
            # The master starts another one, which may be able to look.
            sys.exit(f"the keeper can't take over: {error}")
        self._units[number] = unit
        self._hurry()
        if pid and not exited and not unit.running:
            self._report(unit, None, None, 0)
        for signum in told["signals"]:
            self._signal(number, int(signum))

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

    # Ends

    def _reap(self) -> None:
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

    def _watch(self) -> None:
        """Notice the ends of inherited leaders: whose children they are learns how, and it isn't the keeper."""
        for unit in self._units.values():
            if unit.running and not unit.leads():
                unit.running = False
                self._let_go(unit)
                self._report(unit, None, None, 0)

    def _report(self, unit: Unit, code: int | None, signum: int | None, maxrss: int) -> None:
        self._hurry()
        self._send(
            {"event": "exited", "id": unit.id, "code": code, "signal": signum, "maxrss": maxrss}
        )

    def _sweep(self) -> None:
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
            if line.group in groups or line.session in groups:
                continue
            orphan = line.parent == own
            if unit is None:
                if orphan or any(f"/{self._id}/" in mark for mark in line.marks()):
                    yield line
            elif (orphan or unit.inherited) and unit.owns(line):
                yield line

    def _kill_each(self, lines: Iterable[ProcessLine]) -> None:
        for line in lines:
            now = process_line(line.pid)
            if now is not None and now.start == line.start:
                with contextlib.suppress(OSError):
                    os.kill(line.pid, signal.SIGKILL)

    # Events

    def _send(self, event: dict[str, object]) -> None:
        body = json.dumps(event).encode()
        self._output += HEADER.pack(len(body)) + body

    def _flush(self) -> None:
        try:
            while self._output:
                del self._output[: self._master.send(self._output)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._disconnected()


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


# Python ignores these for itself, and gives started commands the default.
RUNTIME_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)


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
    Keeper(master, open_parent(int(sys.argv[1])), wakeup, os.environ[MARK]).run()


if __name__ == "__main__":
    main()
