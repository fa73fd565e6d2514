"""The calls that a server handles now: how many, how old, how overdue."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Mapping
from random import Random
from typing import Any, Final

from hsu_worker.authoring.call import Call
from hsu_worker.interface import AnyInterface, Method
from hsu_worker.wire.metadata import AUTHORIZATION, CALL_ID, Metadata

_WELL_FORMED_ID: Final = re.compile(r"[0-9a-f]{8,64}")

# Ids are no secrets. A generator of our own: what the user's code seeds may repeat itself, and so would
# a fork. Asking the kernel takes three times as long.
_ids: Final = Random()  # noqa: S311
_bits: Final = _ids.getrandbits
os.register_at_fork(after_in_child=_ids.seed)


class ServedCall(Call):
    """A call as the dispatch sees it: it also knows the task that handles it."""

    __slots__ = ("_drawn", "_sent", "cut_off", "given_up_at", "opening", "started", "task")

    def __init__(
        self,
        interface: AnyInterface,
        method: Method,
        sent: Metadata,
        peer: str,
        left: float | None,
        task: "asyncio.Task[Any]",
    ) -> None:
        # Each step is paid by every call: what few ask for is made when they do.
        self.interface = interface
        self.method = method
        self.peer = peer
        self.task = task
        self.started = now = time.monotonic()
        self.deadline = None if left is None else now + left
        self.given_up_at: float | None = None
        """When somebody first noticed that nobody waits for the answer."""
        self.cut_off = ""
        """Why we ended the call ourselves; empty when we did not."""
        self.opening = False
        """Its first answer is being written."""
        self._cancelled = False
        self._sent = sent
        # Two threads that ask for the id make the same one.
        self._drawn = _bits(64)

    @property
    def metadata(self) -> Mapping[str, str | bytes]:
        """What the caller sent along, without the token."""
        return {name: value for name, value in self._sent if name != AUTHORIZATION}

    @property
    def id(self) -> str:
        """What the caller sent as one, if it is well formed."""
        given = self.metadata.get(CALL_ID)
        if isinstance(given, str) and _WELL_FORMED_ID.fullmatch(given):
            return given
        return self._drawn.to_bytes(8, "big").hex()

    async def open(self, write: Awaitable[None]) -> None:
        """Write the first answer; the call is cut off after it.

        grpc.aio can't send the status of a call whose first write was interrupted: its caller would
        wait for ever.
        """
        self.opening = True
        try:
            await write
        finally:
            self.opening = False
        if self.cut_off:
            raise asyncio.CancelledError

    @property
    def cancelled(self) -> bool:
        """The caller has gone, or the deadline has passed."""
        # grpc cancels the task: that it has been asked to end shows at once and in every thread.
        return (
            self._cancelled
            or self.task.cancelling() > 0
            or (self.deadline is not None and time.monotonic() >= self.deadline)
        )

    def overdue(self, now: float) -> float:
        """By how much it has outlived its deadline or its cancellation; 0 when it has not."""
        if self.given_up_at is None and self.cancelled:
            self.given_up_at = now if self.deadline is None else min(now, self.deadline)
        return 0.0 if self.given_up_at is None else max(0.0, now - self.given_up_at)


class Calls:
    """Counts calls from when they are accepted until their handler has ended.

    A synchronous handler whose caller has left still counts: its thread is still taken.
    """

    def __init__(self) -> None:
        self.total = 0
        self.last_activity = time.monotonic()
        self._running: dict[int, ServedCall] = {}
        self._none_left = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """How many have been accepted and have not ended."""
        return len(self._running)

    def running(self) -> list[ServedCall]:
        """Those that have not ended; may be asked in any thread."""
        return list(self._running.values())

    def begin(self, call: ServedCall) -> None:
        """Count a call."""
        self.total += 1
        self.last_activity = call.started
        self._running[id(call)] = call

    def end(self, call: ServedCall) -> None:
        """Count it no more."""
        del self._running[id(call)]
        self.last_activity = time.monotonic()
        if not self._running:
            self._none_left.set()

    def described(self, most: int = 5) -> str:
        """The oldest of those that have not ended, each with its id and its age."""
        running = self.running()
        now = time.monotonic()
        told = [
            f"{call.method.path.removeprefix('/')} (call {call.id}, {now - call.started:.1f} s)"
            for call in running[:most]
        ]
        further = [f"{len(running) - most} more"] if len(running) > most else []
        return ", ".join(told + further)

    def oldest_age(self, *, unbounded: bool = False) -> float:
        """How long the oldest has run, in seconds; 0 when there is none.

        Args:
            unbounded: The oldest of those without a deadline.
        """
        now = time.monotonic()
        # A dict keeps the order in which calls began.
        calls = (call for call in self._running.values() if not unbounded or call.deadline is None)
        return next((now - call.started for call in calls), 0.0)

    def most_overdue(self) -> float:
        """By how much the worst has outlived its own deadline or cancellation, in seconds."""
        now = time.monotonic()
        return max((call.overdue(now) for call in self._running.values()), default=0.0)

    async def ended(self) -> None:
        """Wait until none is in flight."""
        if self._running:
            self._none_left.clear()
            await self._none_left.wait()

    def cut_off(self, reason: str) -> int:
        """End those that still run; their callers read UNAVAILABLE and `reason`.

        Returns:
            How many there were.
        """
        running = self.running()
        for call in running:
            call.cut_off = reason
            call.cancel()
            if not call.opening:
                call.task.cancel()
        return len(running)
