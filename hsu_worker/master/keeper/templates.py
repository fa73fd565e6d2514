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
"""Templates that may end while they import or fork, before their commands are started without one."""
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
    unwanted: bool = False
    """It is to end, should it be forked all the same."""

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
        while self.descriptors:
            os.close(self.descriptors.pop())


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

        is_told: Whether a pid is that of a command that was told of: a fork has its template's mark still.
    """

    def __init__(
        self, path: str, started: Started, spawn: Spawn, is_told: Callable[[int], bool]
    ) -> None:
        self._path = path
        self._started = started
        self._spawn = spawn
        self._is_told = is_told
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
        """Drop what is not started yet; whether there was such a command."""
        for template in self._templates.values():
            for wish in template.waiting:
                if wish.number == number:
                    template.waiting.remove(wish)
                    wish.close()
                    return True
            asked = template.asked.get(number)
            if asked is not None and not asked.unwanted:
                asked.unwanted = True
                asked.close()
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
            self._ended(key, template, f"it has not forked within {template.bound:g} s")
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
                self._ask(key, template)
            case {"unsafe": why}:
                self._give_up(key, str(why))
            case {"forked": number, "pid": pid} if number in template.asked:
                wish = template.asked.pop(number)
                wish.close()
                self._failures.pop(key, None)
                if wish.unwanted:
                    self._end_marked(f"{self._path}/{number}", pid=pid)
                else:
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

    def _ended(
        self, key: str, template: Template, why: str = "it ended when it was to fork"
    ) -> None:
        """It was killed, or killed itself, or might as well be."""
        # With nobody's wish lost by it, the next one may fare better.
        if template.asked or not template.ready:
            self._failures[key] = self._failures.get(key, 0) + 1
            if self._failures[key] >= TRIES:
                imported = "it ended while it imported what it needs"
                self._give_up(key, why if template.ready else imported)
                return
        for wish in self._drop(key):
            self._place(wish)

    def _end_marked(self, *marks: str, pid: int = 0) -> None:
        """End what carries one of these marks, or is this process, and is no command that was told of."""
        wanted = [f"/{mark}/" for mark in marks]
        with contextlib.suppress(OSError):
            for line in live_processes():
                if line.pid != pid and (
                    self._is_told(line.pid)
                    or not any(each in mark for each in wanted for mark in line.marks())
                ):
                    continue
                with contextlib.suppress(OSError):
                    os.kill(line.pid, signal.SIGKILL)

    def _give_up(self, key: str, why: str) -> None:
        self._unforkable[key] = why, time.monotonic() + AGAIN
        self._failures.pop(key, None)
        for wish in self._drop(key):
            self._without(wish, why)

    def _without(self, wish: Wish, why: str) -> None:
        if wish.unwanted:
            return
        self._spawn(wish.request, wish.descriptors, why)
        wish.close()

    def _place(self, wish: Wish) -> None:
        if wish.unwanted:
            return
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
        template = self._templates.pop(key)
        wishes = template.end()
        # What it had forked and not told of must not live beside what is made instead, nor what its imports
        # have started. A fork takes on its own mark at once, perhaps before it is told of.
        self._end_marked(template.mark, *(f"{self._path}/{number}" for number in template.asked))
        return wishes

    def _wish(self, number: int) -> Wish | None:
        for template in self._templates.values():
            for wish in (*template.asked.values(), *template.waiting):
                if wish.number == number:
                    return wish
        return None


def _key(wanted: Any) -> str:
    return json.dumps(wanted, sort_keys=True)
