"""The keeper's loop: requests, ends of children, and the end of the master."""

import contextlib
import errno
import json
import os
import select
import signal
import time
from typing import Any

from . import GIVE_UP, GRACE
from .frames import Frames, number_of
from .spawning import NotStarted, check, spawn
from .templates import Templates
from .units import POLL, Units


class Keeper:
    """
    Does what the master asks for, until the master is gone.

    Args:
        master: The socket to it.

        parent: A pidfd of it: what it forks may hold the socket's other end. -1: there is none.

        wakeup: A descriptor that becomes readable with each signal.

        path: The marks of this keeper and of those above it.
    """

    def __init__(self, master: Frames, parent: int, wakeup: int, path: str) -> None:
        self._master = master
        self._parent = parent
        self._wakeup = wakeup
        self._path = path
        self._units = Units(path.rpartition("/")[2], master.send)
        self._templates = Templates(path, self._started, self._spawn, self._units.leads)
        self._kill_at: float | None = None
        """Set when the master is gone."""

    def run(self) -> None:
        while not self._finished():
            ready = self._wait()
            if self._wakeup in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 4096)
            # Before the ends: what a template has forked may have ended already.
            self._templates.receive()
            self._units.reap()
            # What can't be read now says nothing: the next turn looks again.
            with contextlib.suppress(OSError):
                self._units.watch()
                self._units.sweep()
            if self._kill_at is None:
                self._serve(ready)

    def _serve(self, ready: dict[int, int]) -> None:
        try:
            if ready.get(self._master.fileno(), 0) & ~select.POLLOUT:
                for body, descriptors in self._master.requests():
                    self._take(body, descriptors)
            self._master.flush()
        except EOFError:
            self._disconnected()
        else:
            if self._parent in ready:
                self._disconnected()

    def _disconnected(self) -> None:
        self._kill_at = time.monotonic() + GRACE
        self._units.hurry()
        self._units.let_go()
        self._master.close()
        self._templates.close()
        self._units.signal_all(signal.SIGTERM)

    def _wait(self) -> dict[int, int]:
        events = select.poll()
        for descriptor in (self._wakeup, *self._templates.filenos(), *self._units.handles()):
            events.register(descriptor, select.POLLIN)
        if self._kill_at is None:
            writing = select.POLLOUT if self._master.unsent else 0
            events.register(self._master.fileno(), select.POLLIN | writing)
            if self._parent >= 0:
                events.register(self._parent, select.POLLIN)
        timeout = self._timeout()
        return dict(events.poll(None if timeout is None else timeout * 1000))

    def _timeout(self) -> float | None:
        timeouts = [self._units.timeout(), self._templates.timeout()]
        if self._kill_at is not None:
            left = self._kill_at - time.monotonic()
            timeouts.append(POLL if left <= 0 or not self._units else left)
        return min((each for each in timeouts if each is not None), default=None)

    def _finished(self) -> bool:
        if self._kill_at is None:
            return False
        now = time.monotonic()
        if now >= self._kill_at + GIVE_UP:
            return True
        if self._units and now < self._kill_at:
            return False
        try:
            return not self._units.kill_all()
        except OSError:
            return False

    def _take(self, body: bytes, descriptors: list[int]) -> None:
        try:
            self._handle(json.loads(body), descriptors)
        except Exception as error:
            # Whatever a request holds, the processes of the others must not end with it.
            why = f"the request is malformed: {error!r}"
            refused: dict[str, object] = {"event": "refused", "error": why}
            self._master.send(refused | number_of(body))

    def _handle(self, request: Any, descriptors: list[int]) -> None:
        match request["op"]:
            case "spawn":
                self._start(request, descriptors)
            case "warm":
                self._templates.warm(request["template"])
            case "keep":
                self._templates.keep(request["templates"])
            case "signal":
                number, signum = int(request["id"]), int(request["signal"])
                if signum == signal.SIGKILL and self._templates.forget(number):
                    self._master.send(NotStarted(errno.ECANCELED).event | {"id": number})
                elif not self._templates.hold(number, signum):
                    self._units.signal(number, signum)
            case "outlive":
                self._units.spare(int(request["id"]))
            case "take-over":
                for told in request["units"]:
                    self._units.inherit(told)
            case other:
                raise ValueError(f"there is no op {other!r}")

    def _start(self, request: Any, descriptors: list[int]) -> None:
        number = int(request["id"])
        if number in self._units or number in self._templates:
            raise ValueError(f"there is a command {number} already")
        try:
            check(request, descriptors)
        except NotStarted as error:
            self._master.send(error.event | {"id": number})
            return
        if request.get("template"):
            self._templates.fork(request, descriptors)
        else:
            self._spawn(request, descriptors)

    def _spawn(self, request: Any, descriptors: list[int], unforkable: str = "") -> None:
        """Start a command by itself; a template that should have become it could not."""
        number = int(request["id"])
        try:
            pid = spawn(request, descriptors, f"{self._path}/{number}")
        except NotStarted as error:
            self._master.send(error.event | {"id": number})
        else:
            self._units.add(number, pid, forked=False, unforkable=unforkable)

    def _started(self, number: int, pid: int, signals: list[int]) -> None:
        """A template has become a command."""
        self._units.add(number, pid, forked=True, unforkable="")
        for signum in signals:
            self._units.signal(number, signum)
