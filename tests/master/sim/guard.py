"""Keepers of a simulated machine, and what masters have to them."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from hsu_worker.master.keeper import loop
from hsu_worker.master.keeper.frames import Frames
from tests.master.sim.kernel import Kernel

#: Seconds that a word between a master and its keeper may take.
DELAY = 0.01


class Guard(loop.Keeper):
    """The true keeper, whose turns come when something has happened.

    Args:
        tell: Takes its events.
    """

    def __init__(
        self, kernel: Kernel, mark: str, tell: Callable[[Mapping[str, object]], None]
    ) -> None:
        self.pid = 10_000 + len(kernel.keepers)
        self.alive = True
        self.killed = False
        self.on_end: Callable[[], None] = lambda: None
        self._kernel = kernel
        self._due = 0.0
        kernel.keepers.append(self)
        super().__init__(cast("Frames", _Told(tell)), -1, -1, mark)

    @property
    def left_alone(self) -> bool:
        return self._kill_at is not None

    def take(self, body: bytes, descriptors: list[int]) -> None:
        """A request has come."""
        if self.alive and not self.left_alone:
            with self._kernel.asked_by(self):
                self._take(body, descriptors)
            self.turn()

    def disconnect(self) -> None:
        """Its master is gone."""
        if self.alive and not self.left_alone:
            with self._kernel.asked_by(self):
                self._disconnected()
            self.turn()

    def turn(self) -> None:
        if not self.alive:
            return
        with self._kernel.asked_by(self):
            self._units.reap()
            with suppress(OSError):
                self._units.watch()
                self._units.sweep()
            finished = self._finished()
        if finished:
            self._end()
            return
        timeout = self._timeout()
        now = self._kernel.now
        if timeout is not None and not now < self._due <= now + timeout:
            self._due = now + timeout
            self._kernel.at(self._due, self.turn)

    def die(self) -> None:
        """Somebody kills it: what it has started goes on."""
        if self.alive:
            self.killed = True
            self._end()

    def _end(self) -> None:
        self.alive = False
        self._kernel.orphan(self.pid)
        self.on_end()


class _Told:
    """The keeper's end of the socket."""

    def __init__(self, tell: Callable[[Mapping[str, object]], None]) -> None:
        self.send = tell

    def close(self) -> None:
        pass


class Link:
    """As `KeeperLink`: the master's end. What was sent comes, in order, also when the sender is dead."""

    def __init__(
        self,
        kernel: Kernel,
        step: Callable[[], bool],
        mark: str,
        received: Callable[[Mapping[str, Any]], None],
        ended: Callable[["Link"], None],
        first: Mapping[str, object] | None = None,
    ) -> None:
        self._kernel = kernel
        self._step = step
        self._received = received
        self._ended = ended
        self._sent = self._told = 0.0
        self._open = step()
        self.guard = Guard(kernel, mark, self._tell)
        self.guard.on_end = self._eof
        if not self._open:
            # Whoever would have started it is dead.
            self.guard.die()
        if first is not None:
            # It is there before the keeper is.
            self._post(first)

    def send(self, request: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        # It may be killed before, or right after it.
        if not self._step() or not self._open:
            return
        self._post(request, descriptors)
        self._step()

    def _post(self, request: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        body = json.dumps(request).encode()
        # Whoever reads a pipe stands for its descriptor.
        given: list[Any] = [self._kernel.readers.get(each) for each in descriptors]
        self._sent = self._in_order(self._sent)
        self._kernel.at(self._sent, lambda: self.guard.take(body, given))

    def kill(self) -> None:
        """Somebody kills the keeper, and what has not reached it never does."""
        if self._open:
            self.guard.die()

    def sever(self) -> None:
        """The master is no more."""
        if self._open:
            self._open = False
            self._kernel.at(self._in_order(self._sent), self.guard.disconnect)

    async def close(self) -> bool:
        opened = self._open
        self.sever()
        while opened and self._step() and self.guard.alive:  # noqa: ASYNC110  it has no loop
            await asyncio.sleep(0.05)
        return not (opened and self.guard.killed)

    def _in_order(self, last: float) -> float:
        now = self._kernel.now
        return max(last + 1e-4, now + self._kernel.dice.uniform(0.0, DELAY))

    def _tell(self, event: Mapping[str, object]) -> None:
        self._told = self._in_order(self._told)

        def come() -> None:
            if self._open:
                self._received(event)

        self._kernel.at(self._told, come)

    def _eof(self) -> None:
        def come() -> None:
            if self._open:
                self._open = False
                self._ended(self)

        self._kernel.at(self._in_order(self._told), come)
