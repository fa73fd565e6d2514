"""
The keeper: a small process between the master and what it launches.

It starts commands for the master, each in a session of its own, reports how they end, and stops all of them
when the master is gone. It is run as a script (`python -I -S keeper.py`), is single-threaded, and imports
nothing but the standard library. Descriptor 0 is its socket to the master.

A frame on the socket is a length (4 bytes), a number of descriptors (1 byte) and that much JSON.
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
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

HEADER = struct.Struct("!IB")
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
# Annotated, so that type checkers read the code of both platforms.
LINUX: bool = sys.platform == "linux"


class ProcessLine(NamedTuple):
    """What `/proc/<pid>/stat` tells."""

    pid: int
    live: bool
    parent: int
    group: int
    session: int


def process_line(pid: int) -> ProcessLine | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return ProcessLine(
            pid, fields[0] not in "ZXx", int(fields[1]), int(fields[2]), int(fields[3])
        )
    except (OSError, ValueError, IndexError):
        return None


def live_processes() -> list[ProcessLine]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    lines = (process_line(int(name)) for name in names if name.isdigit())
    return [line for line in lines if line is not None and line.live]


@dataclass
class Unit:
    """One started command: its leader, and everything that descends from it."""

    id: int
    pid: int
    mark: str
    running: bool = True
    killing: bool = False

    def members(self, processes: Iterable[ProcessLine]) -> list[ProcessLine]:
        """The live processes of its group and session."""
        if LINUX:
            return [line for line in processes if self.pid in (line.group, line.session)]
        try:
            os.killpg(self.pid, 0)
        except OSError:
            return []
        return [ProcessLine(self.pid, True, os.getpid(), self.pid, self.pid)]

    def owns(self, pid: int) -> bool:
        """Whether a process that left the group still carries the unit's mark in its environment."""
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            return False
        prefix = f"{MARK}=".encode()
        own = self.mark.encode()
        return any(v.startswith(prefix) and own in v[len(prefix) :].split(b"/") for v in variables)

    def signal(self, number: int, processes: Iterable[ProcessLine]) -> None:
        members = self.members(processes)
        # A pid is free for others once its leader is reaped and its group is empty.
        if self.running or members:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, number)
        for member in members:
            now = process_line(member.pid) if member.group != self.pid else None
            if now is not None and now.live and now.session == self.pid:
                with contextlib.suppress(OSError):
                    os.kill(member.pid, number)


class Keeper:
    """The loop: requests, ends of children, and the end of the master."""

    def __init__(self, master: socket.socket, wakeup: int) -> None:
        self._master = master
        self._wakeup = wakeup
        self._input = bytearray()
        self._descriptors: deque[int] = deque()
        self._output = bytearray()
        self._units: dict[int, Unit] = {}
        self._connected = True
        self._leaving = False
        self._kill_at: float | None = None
        self._quick_until = 0.0
        self._secret = os.urandom(8).hex()

    def run(self) -> None:
        while not self._finished():
            reads: list[Any] = [self._wakeup]
            writes: list[Any] = []
            if self._connected:
                reads.append(self._master)
                if self._output:
                    writes.append(self._master)
            readable, _, _ = select.select(reads, writes, [], self._timeout())
            if self._wakeup in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 4096)
            self._reap()
            self._sweep()
            if self._master in readable:
                self._receive()
            if self._connected:
                self._flush()

    def _timeout(self) -> float | None:
        now = time.monotonic()
        if (self._leaving or not self._connected) and not self._units:
            return POLL
        if any(unit.killing or not unit.running for unit in self._units.values()):
            return POLL if now < self._quick_until else SLOW_POLL
        if self._kill_at is not None:
            return POLL if now >= self._kill_at else self._kill_at - now
        return None

    def _hurry(self) -> None:
        self._quick_until = time.monotonic() + SLOW_AFTER

    def _finished(self) -> bool:
        if self._kill_at is not None:
            now = time.monotonic()
            if now >= self._kill_at + GIVE_UP:
                return True
            if now >= self._kill_at:
                self._hurry()
                for unit in self._units.values():
                    unit.killing = True
                self._sweep()
        if self._units or not (self._leaving or self._kill_at is not None):
            return False
        # Nobody is left who could miss them: descendants without a mark end here.
        rest = list(self._escaped(live_processes()))
        self._kill_each(rest)
        return not rest

    # Requests

    def _receive(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._master, 1 << 16, 16)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, descriptors = b"", []
        self._descriptors.extend(descriptors)
        if not data:
            self._disconnected()
            return
        self._input += data
        while len(self._input) >= HEADER.size:
            length, count = HEADER.unpack_from(self._input)
            if len(self._input) < HEADER.size + length:
                return
            body = bytes(self._input[HEADER.size : HEADER.size + length])
            del self._input[: HEADER.size + length]
            taken = [self._descriptors.popleft() for _ in range(min(count, len(self._descriptors)))]
            try:
                self._handle(json.loads(body), taken)
            except Exception:
                # Whatever a request holds, the processes of the others must not end with it.
                self._send({"event": "refused", "error": "the request is malformed"})
            finally:
                for descriptor in taken:
                    os.close(descriptor)

    def _disconnected(self) -> None:
        self._connected = False
        self._master.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())
        processes = live_processes()
        for unit in self._units.values():
            unit.signal(signal.SIGTERM, processes)
        self._kill_at = time.monotonic() + GRACE
        self._hurry()

    def _handle(self, request: Any, descriptors: list[int]) -> None:
        match request["op"]:
            case "spawn":
                self._spawn(request, descriptors)
            case "signal":
                self._signal(int(request["id"]), int(request["signal"]))
            case "kill-group":
                self._signal(int(request["id"]), signal.SIGKILL)
            case "leave":
                self._leaving = True
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
        unit = Unit(number, 0, f"{number}-{self._secret}")
        # A keeper may run below another one, which has to find its own mark as well.
        outer = os.environ.get(MARK)
        try:
            environment = {str(name): str(value) for name, value in request["env"].items()}
            environment[MARK] = f"{outer}/{unit.mark}" if outer else unit.mark
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
        unit.pid = process.pid
        # Only the loop reaps: a Popen that is told its end never waits.
        process.returncode = 0
        self._units[number] = unit
        self._send({"event": "spawned", "id": number, "pid": unit.pid})

    def _signal(self, number: int, signum: int) -> None:
        unit = self._units.get(number)
        if unit is None or signum not in signal.valid_signals():
            return
        unit.killing = unit.killing or signum == signal.SIGKILL
        self._hurry()
        unit.signal(signum, live_processes())

    # Ends

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for unit in self._units.values():
                if unit.running and unit.pid == pid:
                    unit.running = False
                    self._report(unit, status, usage.ru_maxrss)

    def _report(self, unit: Unit, status: int, maxrss: int) -> None:
        self._hurry()
        code = os.waitstatus_to_exitcode(status)
        self._send(
            {
                "event": "exited",
                "id": unit.id,
                "code": code if code >= 0 else None,
                "signal": -code if code < 0 else None,
                "maxrss": maxrss * 1024 if LINUX else maxrss,
                "members": len(unit.members(live_processes())),
            }
        )

    def _sweep(self) -> None:
        """Kill what has to be killed again, and tell which units are gone."""
        units = [unit for unit in self._units.values() if unit.killing or not unit.running]
        if not units:
            return
        processes = live_processes()
        for unit in units:
            if unit.killing:
                unit.signal(signal.SIGKILL, processes)
            # While one list is read, a process may move between its lines: the second can't miss it.
            if not unit.running and not self._left(unit, processes):
                if not self._left(unit, live_processes()):
                    del self._units[unit.id]
                    self._send({"event": "gone", "id": unit.id})
            elif unit.killing:
                self._kill_each(self._escaped(processes, unit))

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
        """Orphans that came to the keeper: its children that it did not start itself."""
        leaders = {known.pid for known in self._units.values() if known.running}
        groups = {known.pid for known in self._units.values()}
        for line in processes:
            if line.parent != os.getpid() or line.pid in leaders:
                continue
            if line.group in groups or line.session in groups:
                continue
            if unit is None or unit.owns(line.pid):
                yield line

    def _kill_each(self, lines: Iterable[ProcessLine]) -> None:
        for line in lines:
            now = process_line(line.pid)
            if now is not None and now.parent == os.getpid():
                with contextlib.suppress(OSError):
                    os.kill(line.pid, signal.SIGKILL)

    # Events

    def _send(self, event: dict[str, object]) -> None:
        body = json.dumps(event).encode()
        self._output += HEADER.pack(len(body), 0) + body

    def _flush(self) -> None:
        try:
            while self._output:
                del self._output[: self._master.send(self._output)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._disconnected()


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
    Keeper(master, wakeup).run()


if __name__ == "__main__":
    main()
