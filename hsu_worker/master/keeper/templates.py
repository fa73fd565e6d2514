"""Processes that have imported what a command needs, and become it by forking."""

import contextlib
import errno
import itertools
import json
import math
import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .processes import live_processes
from .spawning import environment_of

AGAIN = 60.0
"""Seconds after which one that could not be made is tried again."""
TRIES = 2
"""Templates that may end while they import, before their commands are started without one."""
MARK_ROOM = 24
"""Bytes in the environment of a template, for the mark of what it becomes."""

Spawn = Callable[[Any, list[int], str], None]
"""Starts a command without a template: request, descriptors, and why."""
Started = Callable[[int, int, list[int]], None]
"""Takes note of a command that a template has become: id, pid, and signals that it is owed."""


@dataclass
class Wish:
    """A command that somebody waits for."""

    request: Any
    descriptors: list[int]
    signals: list[int] = field(default_factory=list)

    @property
    def number(self) -> int:
        return int(self.request["id"])

    def message(self, path: str) -> bytes:
        """What a template is told; `path` is that of the keeper."""
        request = {key: self.request[key] for key in ("target", "cwd", "argv")}
        request["id"] = self.number
        request["announce"] = bool(self.request.get("announce", False))
        request["limits"] = self.request.get("limits")
        request["env"] = environment_of(self.request, f"{path}/{self.number}")
        return json.dumps(request).encode()

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


class Template:
    """One process, and the commands that it is to become.

    Args:
        mark: What it carries, and its forks until each has the mark of what it becomes.
    """

    def __init__(self, wanted: Any, mark: str) -> None:
        self.mark = mark
        self.bound = float(wanted["bound"])
        """Seconds that it may take to import what it has to, and for each answer."""
        self.moved = time.monotonic()
        self.ready = False
        self.waiting: deque[Wish] = deque()
        self.asked: dict[int, Wish] = {}
        self.socket, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        with far:
            process = subprocess.Popen(
                [str(word) for word in wanted["argv"]],
                env=environment_of(wanted, f"{mark}{'/' * MARK_ROOM}"),
                cwd=str(wanted["cwd"]),
                stdin=far.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        # Only the loop reaps: a Popen that is told its end never waits.
        process.returncode = 0
        # No pid: its end may show long after it was reaped, for what travels to a spare holds its socket, too.
        self._handle = -1
        with contextlib.suppress(OSError):
            self._handle = os.pidfd_open(process.pid)

    def ask(self, path: str) -> None:
        """Hand on what waits, as much as it takes."""
        while self.ready and self.waiting:
            wish = self.waiting[0]
            try:
                socket.send_fds(self.socket, [wish.message(path)], wish.descriptors)
            # One that has ended may have said something before, which has to be read first.
            except (BlockingIOError, InterruptedError, BrokenPipeError, ConnectionResetError):
                return
            except OSError as error:
                if error.errno == errno.ETOOMANYREFS:
                    return
                raise
            if not self.asked:
                self.moved = time.monotonic()
            self.asked[wish.number] = self.waiting.popleft()

    def answer(self) -> bytes:
        """The next one; empty at its end.

        Raises:
            BlockingIOError: There is none yet.
            OSError: There will be none.
        """
        try:
            return self.socket.recv(1 << 16)
        except ConnectionResetError:
            # It ended with a request unread: Linux tells that before what it has said itself.
            return self.socket.recv(1 << 16)

    @property
    def due(self) -> float:
        """When it has to have said something, as time.monotonic tells the time."""
        return self.moved + self.bound if self.asked or not self.ready else math.inf

    def end(self) -> list[Wish]:
        """Let it go; returns what it has not become."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)
        self.socket.close()
        return [*self.asked.values(), *self.waiting]


class Templates:
    """
    The templates of one keeper, by what they are made of.

    Args:
        path: The marks of the keeper and of those above it.

        started: Takes note of what has been forked.

        spawn: Starts what can't be.
    """

    def __init__(self, path: str, started: Started, spawn: Spawn) -> None:
        self._path = path
        self._started = started
        self._spawn = spawn
        self._templates: dict[str, Template] = {}
        self._numbers = itertools.count(1)
        self._failures: dict[str, int] = {}
        self._unforkable: dict[str, tuple[str, float]] = {}
        """Why there is none, and until when none is tried."""

    def __contains__(self, number: int) -> bool:
        return self._wish(number) is not None

    def filenos(self) -> Iterator[int]:
        return (template.socket.fileno() for template in self._templates.values())

    def timeout(self) -> float | None:
        """Seconds until one has taken too long."""
        due = min((each.due for each in self._templates.values()), default=math.inf)
        return None if due == math.inf else max(0.0, due - time.monotonic())

    def warm(self, wanted: Any) -> None:
        """Have a template ready before somebody needs it."""
        with contextlib.suppress(OSError):
            self._of(wanted)

    def keep(self, wanted: Any) -> None:
        """End all others, but for those that somebody waits for."""
        keys = {_key(each) for each in wanted}
        for key, template in list(self._templates.items()):
            if not (key in keys or template.asked or template.waiting):
                self._drop(key)

    def fork(self, request: Any, descriptors: list[int]) -> None:
        """Start a command; its descriptors may be closed when this returns."""
        wish = Wish(request, [])
        # What is malformed has to show itself here, where it can be refused.
        wish.message(self._path)
        wish.descriptors += [os.dup(descriptor) for descriptor in descriptors]
        try:
            self._place(wish)
        except BaseException:
            wish.close()
            raise

    def hold(self, number: int, signum: int) -> bool:
        """Keep a signal for what is not started yet; whether this is what it is for."""
        wish = self._wish(number)
        if wish is not None:
            wish.signals.append(signum)
        return wish is not None

    def forget(self, number: int) -> bool:
        """Drop what no template was asked for yet; whether there was such a command."""
        for template in self._templates.values():
            for wish in template.waiting:
                if wish.number == number:
                    template.waiting.remove(wish)
                    wish.close()
                    return True
        return False

    def close(self) -> None:
        """End all of them; what they were to become is not wanted any more."""
        for key in list(self._templates):
            for wish in self._drop(key):
                wish.close()

    def receive(self) -> None:
        """Take their answers, and give up those that take too long."""
        for key, template in list(self._templates.items()):
            self._answers(key, template)
            if self._templates.get(key) is template and time.monotonic() >= template.due:
                self._late(key, template)

    def _late(self, key: str, template: Template) -> None:
        if template.ready:
            # As if it had been killed: the next one does what it was asked for.
            self._ended(key, template)
        else:
            self._give_up(key, f"it has not imported all that it needs within {template.bound:g} s")

    def _answers(self, key: str, template: Template) -> None:
        while self._templates.get(key) is template:
            try:
                data = template.answer()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            if not data:
                self._ended(key, template)
                return
            self._answer(key, template, json.loads(data))

    def _answer(self, key: str, template: Template, answer: Any) -> None:
        template.moved = time.monotonic()
        match answer:
            case {"ready": _}:
                template.ready = True
                self._failures.pop(key, None)
                self._ask(key, template)
            case {"unsafe": why}:
                self._give_up(key, str(why))
            case {"forked": number, "pid": pid} if number in template.asked:
                wish = template.asked.pop(number)
                wish.close()
                self._started(number, pid, wish.signals)
                self._ask(key, template)
            case {"failed": number, "why": why} if number in template.asked:
                self._without(template.asked.pop(number), str(why))
                self._ask(key, template)
            case {"lost": number}:
                # If it had told of itself, that came first.
                if number in template.asked:
                    self._place(template.asked.pop(number))
            case {"stale": _}:
                # What it was to become, the next one becomes.
                for wish in self._drop(key):
                    self._place(wish)
            case _:
                self._give_up(key, f"it answered {answer!r}")

    def _ask(self, key: str, template: Template) -> None:
        try:
            template.ask(self._path)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                self._without(template.waiting.popleft(), "its environment is too large")
                self._ask(key, template)
            else:
                self._ended(key, template)

    def _ended(self, key: str, template: Template) -> None:
        """It was killed, or killed itself."""
        if not template.ready:
            self._failures[key] = self._failures.get(key, 0) + 1
            if self._failures[key] >= TRIES:
                self._give_up(key, "it ended while it imported what it needs")
                return
        wishes = self._drop(key)
        self._end_half_made(template)
        for wish in wishes:
            self._place(wish)

    def _end_half_made(self, template: Template) -> None:
        """What a template had forked, and has not told of, must not live beside what is made instead."""
        # A fork takes on its own mark at once, perhaps before it is told of.
        own = (f"{self._path}/{number}" for number in template.asked)
        half_made = [f"/{mark}/" for mark in (template.mark, *own)]
        with contextlib.suppress(OSError):
            for line in live_processes():
                if any(each in mark for each in half_made for mark in line.marks()):
                    with contextlib.suppress(OSError):
                        os.kill(line.pid, signal.SIGKILL)

    def _give_up(self, key: str, why: str) -> None:
        self._unforkable[key] = why, time.monotonic() + AGAIN
        self._failures.pop(key, None)
        for wish in self._drop(key):
            self._without(wish, why)

    def _without(self, wish: Wish, why: str) -> None:
        self._spawn(wish.request, wish.descriptors, why)
        wish.close()

    def _place(self, wish: Wish) -> None:
        wanted = wish.request["template"]
        key = _key(wanted)
        why, until = self._unforkable.get(key, ("", 0.0))
        if time.monotonic() < until:
            self._without(wish, why)
            return
        try:
            template = self._of(wanted)
        except OSError as error:
            self._without(wish, f"it can't be started: {error.strerror}")
            return
        template.waiting.append(wish)
        self._ask(key, template)

    def _of(self, wanted: Any) -> Template:
        key = _key(wanted)
        if key not in self._templates:
            self._templates[key] = Template(wanted, f"{self._path}/t/{next(self._numbers)}")
        return self._templates[key]

    def _drop(self, key: str) -> list[Wish]:
        return self._templates.pop(key).end()

    def _wish(self, number: int) -> Wish | None:
        for template in self._templates.values():
            for wish in (*template.asked.values(), *template.waiting):
                if wish.number == number:
                    return wish
        return None


def _key(wanted: Any) -> str:
    return json.dumps(wanted, sort_keys=True)
