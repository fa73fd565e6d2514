"""Processes for the master, started and watched by its keeper."""

import asyncio
import errno
import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from hsu_worker.errors import LaunchError
from hsu_worker.master import keeper as script

_log = logging.getLogger(__name__)

LEAVE_BOUND = script.GRACE + script.GIVE_UP + 2.0
"""Seconds in which a keeper has to leave once its socket is closed."""


@dataclass(frozen=True, slots=True)
class Exit:
    """
    How a process ended. With neither a code nor a signal, nobody could learn it.

    `maxrss` is the most memory that it ever had, in bytes; 0 is unknown.
    """

    code: int | None
    signal: int | None
    maxrss: int

    def __str__(self) -> str:
        if self.code is not None:
            return f"exit code {self.code}"
        if self.signal is None:
            return "exit code unknown"
        try:
            return f"killed by {signal.Signals(self.signal).name}"
        except ValueError:
            return f"killed by signal {self.signal}"


class Process:
    """A command that the keeper started: the leader of a process group of its own."""

    def __init__(self, link: "_Link", number: int) -> None:
        self.pid = 0
        self._link = link
        self.number = number
        loop = asyncio.get_running_loop()
        # The outcome of the start: None, or what stood against it.
        self._started: asyncio.Future[LaunchError | None] = loop.create_future()
        self._exit: asyncio.Future[Exit] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()

    def signal(self, number: int) -> None:
        """
        Send a signal to the whole group; without effect once it is gone.

        SIGKILL also ends descendants that left the group.
        """
        if not self._gone.done():
            self._link.send({"op": "signal", "id": self.number, "signal": int(number)})

    async def exited(self) -> Exit:
        """Wait for the end of the leader. Others of its group may live on: see `gone`."""
        return await asyncio.shield(self._exit)

    async def gone(self) -> None:
        """Wait until neither the leader nor any other process of its group is left."""
        await asyncio.shield(self._gone)

    def on_event(self, event: Mapping[str, Any], argv: Sequence[str], cwd: str) -> None:
        match event["event"]:
            case "spawned":
                self.pid = int(event["pid"])
                self._started.set_result(None)
            case "failed":
                self._started.set_result(_failure(event, argv, cwd))
                self._exit.cancel()
                self._gone.cancel()
            case "exited":
                self._exit.set_result(Exit(event["code"], event["signal"], event["maxrss"]))
            case "gone":
                self._gone.set_result(None)
            case _:
                _log.error("the keeper sent an unknown event: %s", event["event"])

    def lose(self) -> None:
        """The keeper is gone, and with it everything that could still be learned."""
        if not self._started.done():
            self._started.set_result(LaunchError("the keeper ended while it started the command"))
        if not self._exit.done():
            self._exit.set_result(Exit(None, None, 0))
        if not self._gone.done():
            self._gone.set_result(None)

    async def started(self) -> None:
        try:
            failure = await asyncio.shield(self._started)
        except asyncio.CancelledError:
            # Nobody will ever own it. Requests keep their order: this one meets a started process.
            self._link.send({"op": "kill-group", "id": self.number})
            raise
        if failure is not None:
            raise failure


class Keeper:
    """
    Starts commands through one keeper process, which is started with the first of them.

    If the keeper dies, the exits of its processes are unknown, and the next `spawn` starts another keeper.

    Example:
        async with Keeper() as keeper:
            process = await keeper.spawn(["sleep", "60"], env={}, cwd="/", stdin=0, stdout=1, stderr=2)
            process.signal(signal.SIGTERM)
            print(await process.exited())  # killed by SIGTERM
            await process.gone()
    """

    def __init__(self) -> None:
        self._link: _Link | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop what still runs (SIGTERM, then SIGKILL) and wait for the end of the keeper."""
        self._closed = True
        if self._link is not None:
            self._link.close()
        while self._leaving:
            await asyncio.shield(asyncio.gather(*self._leaving))

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | os.PathLike[str],
        stdin: int,
        stdout: int,
        stderr: int,
        announce: int | None = None,
    ) -> Process:
        """
        Start a command in a session of its own.

        The descriptors stay the caller's, who may close them when this returns. The command finds the number
        of `announce` in the variable HSU_ANNOUNCE_FD.

        Raises:
            LaunchError: The command could not be started; the message says why.
            OSError: A descriptor is closed.
        """
        if self._closed:
            raise LaunchError("the keeper is closed: start commands inside its `async with`")
        if not argv:
            raise LaunchError("the command is empty: name a program")
        if self._link is None:
            self._link = _Link(self._ended)
        given = (stdin, stdout, stderr) if announce is None else (stdin, stdout, stderr, announce)
        process = self._link.spawn(list(argv), dict(env), cwd, given)
        await process.started()
        return process

    def _ended(self, link: "_Link") -> None:
        if self._link is link:
            self._link = None
        task = asyncio.get_running_loop().create_task(link.reap())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


class _Link:
    """One keeper process, and the socket to it."""

    def __init__(self, ended: Callable[["_Link"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._processes: dict[int, tuple[Process, list[str], str]] = {}
        self._numbers = itertools.count(1)
        self._input = bytearray()
        self._output: deque[tuple[bytes, list[int]]] = deque()
        self._open = True
        self._socket, far = socket.socketpair()
        with far:
            try:
                self._popen = subprocess.Popen(
                    [sys.executable, "-I", "-S", script.__file__],
                    stdin=far.fileno(),
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                self._socket.close()
                raise LaunchError(f"the keeper could not be started: {error}") from error
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._receive)

    def spawn(
        self,
        argv: list[str],
        env: dict[str, str],
        cwd: str | os.PathLike[str],
        descriptors: tuple[int, ...],
    ) -> Process:
        process, directory = Process(self, next(self._numbers)), os.path.abspath(cwd)
        self.send(
            {
                "op": "spawn",
                "id": process.number,
                "argv": argv,
                "env": env,
                "cwd": directory,
                "announce": len(descriptors) > 3,
            },
            descriptors,
        )
        self._processes[process.number] = process, argv, directory
        return process

    def send(self, request: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        if not self._open:
            return
        body = json.dumps(request).encode()
        # Sending may have to wait, and the caller may close its own meanwhile.
        copies: list[int] = []
        try:
            for descriptor in descriptors:
                copies.append(os.dup(descriptor))  # noqa: PERF401 - the ones before a failure are closed
        except OSError:
            for copy in copies:
                os.close(copy)
            raise
        frame = script.HEADER.pack(len(body), len(copies)) + body
        self._output.append((frame, copies))
        if len(self._output) == 1:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._output:
                frame, descriptors = self._output[0]
                if descriptors:
                    sent = socket.send_fds(self._socket, [frame], descriptors)
                else:
                    sent = self._socket.send(frame)
                # They travel with the first byte.
                for descriptor in descriptors:
                    os.close(descriptor)
                self._output[0] = frame[sent:], []
                if sent == len(frame):
                    self._output.popleft()
            self._loop.remove_writer(self._socket)
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._socket, self._flush)
        except OSError:
            # What the keeper still told is read first; then comes the end.
            self._drop_output()
            self._loop.remove_writer(self._socket)

    def _drop_output(self) -> None:
        for _, descriptors in self._output:
            for descriptor in descriptors:
                os.close(descriptor)
        self._output.clear()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            _log.error(
                "the keeper ended unexpectedly: how its %d processes end is unknown",
                len(self._processes),
            )
            self.close()
            return
        self._input += data
        while len(self._input) >= script.HEADER.size:
            length, _ = script.HEADER.unpack_from(self._input)
            end = script.HEADER.size + length
            if len(self._input) < end:
                return
            event = json.loads(self._input[script.HEADER.size : end])
            del self._input[:end]
            self._dispatch(event)

    def _dispatch(self, event: Mapping[str, Any]) -> None:
        number = event.get("id")
        entry = self._processes.get(number) if isinstance(number, int) else None
        if entry is None:
            _log.error("the keeper sent what belongs to no process: %s", dict(event))
            return
        process, argv, cwd = entry
        process.on_event(event, argv, cwd)
        if event["event"] in ("failed", "gone"):
            del self._processes[process.number]

    def close(self) -> None:
        """Close the socket, which ends the keeper and all that it started."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._drop_output()
        self._socket.close()
        self._ended(self)

    async def reap(self) -> None:
        """Wait for the end of the keeper, so that it leaves no zombie."""
        try:
            await asyncio.to_thread(self._popen.wait, LEAVE_BOUND)
        except subprocess.TimeoutExpired:
            _log.error("the keeper did not leave within %.1f s: it is killed", LEAVE_BOUND)
            self._popen.kill()
            await asyncio.to_thread(self._popen.wait)
        finally:
            for process, _, _ in self._processes.values():
                process.lose()
            self._processes.clear()


def _failure(event: Mapping[str, Any], argv: Sequence[str], cwd: str) -> LaunchError:
    """Say why a command could not be started, and what to do about it."""
    number = event["errno"]
    if event["about"] == "cwd":
        if number == errno.ENOENT:
            return LaunchError(
                f"the working directory {cwd!r} does not exist: create it, or correct the path"
            )
        return LaunchError(f"the working directory {cwd!r} can't be entered: {event['error']}")
    command = argv[0]
    if number == errno.ENOENT:
        if "/" in command and os.path.exists(os.path.join(cwd, command)):
            return LaunchError(
                f"the interpreter of command {command!r} does not exist: correct its first line (#!...)"
            )
        place = "correct the path" if "/" in command else "install it, or correct the PATH"
        return LaunchError(f"command {command!r} does not exist: {place}")
    if number in (errno.EACCES, errno.ENOEXEC):
        cure = (
            "run `chmod +x` on it"
            if number == errno.EACCES
            else "a script needs a first line (#!...)"
        )
        return LaunchError(f"command {command!r} is not executable: {cure}")
    return LaunchError(f"command {command!r} could not be started: {event['error']}")
