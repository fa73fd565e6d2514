"""Calls that stay in flight, to see what a worker does meanwhile."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from hsu_worker.conformance import bounds
from hsu_worker.conformance.asking import Answer, ask
from hsu_worker.conformance.described import encoded
from hsu_worker.conformance.finding import NotMet, Skipped, expect_that
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.worker import Worker, path_of
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.limits import Limits

#: Calls that the kit has in flight at the most, to take all slots.
_MOST: Final = 256

#: How a call may end that nobody has ended for it. A handler may find fault with its request.
_CUT = ("UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED", "UNKNOWN", "INTERNAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """A method whose calls stay in flight."""

    path: str
    request: bytes = b""
    streams: bool = False
    """Its calls last until their requests end."""


class Held:
    """One call in flight.

    Args:
        timeout: Its deadline, in seconds; None: it has none.
    """

    def __init__(self, connection: Connection, slow: Slow, timeout: float | None = None) -> None:
        self.slow = slow
        self._end = asyncio.Event()
        requests = self._until_the_end() if slow.streams else (slow.request,)
        self.answer: asyncio.Task[Answer] = asyncio.create_task(
            ask(connection, slow.path, requests, streams=slow.streams, timeout=timeout)
        )

    async def end(self, patience: float) -> Answer:
        """Let it end by itself.

        Raises:
            NotMet: It doesn't.
        """
        self._end.set()
        within = (bounds.ANSWER if self.slow.streams else bounds.START) * patience
        await asyncio.wait((self.answer,), timeout=within)
        if not self.answer.done():
            raise NotMet(f"an end of {self.slow.path}", f"none within {within:g} s")
        return self.answer.result()

    async def ends_well(self, patience: float, when: str) -> None:
        """Let it end, and demand that nobody has cut it off."""
        answer = await self.end(patience)
        expect_that(answer.code not in _CUT, f"{self.slow.path}, {when}: its own end", answer)

    async def cut_off(self) -> Answer:
        """How it has ended, when the worker has.

        Raises:
            NotMet: It goes on.
        """
        await asyncio.wait((self.answer,), timeout=bounds.ANSWER)
        expect_that(self.answer.done(), "an end of the call", "none")
        return self.answer.result()

    async def cancel(self) -> None:
        """Leave it."""
        self.answer.cancel()
        await asyncio.wait((self.answer,))

    async def _until_the_end(self) -> AsyncGenerator[bytes, None]:
        # Without a request; what a handler makes of that is its own affair.
        await self._end.wait()
        for request in tuple[bytes, ...]():
            yield request


@asynccontextmanager
async def held(
    lab: Lab, worker: Worker, *, timeout: float | None = None
) -> AsyncGenerator[Held, None]:
    """Have a call in flight during the block.

    Raises:
        Skipped: There is no method whose calls stay in flight.
    """
    async with held_many(lab, worker, 1, timeout=timeout) as calls:
        yield calls[0]


@asynccontextmanager
async def held_many(
    lab: Lab, worker: Worker, count: int, *, timeout: float | None = None
) -> AsyncGenerator[list[Held], None]:
    """Have some calls of one method in flight during the block.

    Raises:
        Skipped: There is no method whose calls stay in flight.
    """
    tried: list[str] = []
    for slow in await _candidates(lab, worker):
        calls = [Held(worker.connection, slow, timeout) for _ in range(count)]
        try:
            if await _in_flight(worker, calls):
                yield calls
                return
            ended = [call.answer.result() for call in calls if call.answer.done()]
            tried.append(
                f"{len(ended)} of {count} calls of {slow.path} ended too early, one with {ended[0]}"
            )
        finally:
            for call in calls:
                await call.cancel()
    if not tried:
        tried.append("no method waits for a stream of requests")
    if not lab.help.slow_method:
        tried.append("--slow-method names none")
    raise Skipped(f"it takes a call that lasts: {', and '.join(tried)}")


@asynccontextmanager
async def held_all(lab: Lab, worker: Worker) -> AsyncGenerator[list[Held], None]:
    """Have so many calls in flight during the block that the next one finds no room.

    Raises:
        Skipped: There is no method whose calls stay in flight, or too much room.
    """
    limits, assumed = worker.told.limits, Limits()
    slots = max(
        limits.concurrent_calls or assumed.concurrent_calls, limits.threads or assumed.threads
    )
    if slots > _MOST:
        raise Skipped(f"it has {slots} slots, and the kit takes {_MOST} at the most")
    async with held_many(lab, worker, slots) as calls:
        yield calls

    async def idle() -> bool:
        told = await worker.ping()
        return not told.busy and told.calls_in_flight == 0

    # Checks that come next would be blamed for calls that this one has left behind.
    await lab.until(
        idle, bounds.ANSWER, lambda: (f"no call in flight: {slots} were cancelled", "some are told")
    )


async def _candidates(lab: Lab, worker: Worker) -> list[Slow]:
    found = [
        Slow(path=path_of(interface, method), streams=True)
        for interface, method in worker.methods
        if method.client_streaming
    ]
    if lab.help.slow_method:
        request = encoded(await lab.pool(worker), lab.help.slow_method, lab.help.slow_request)
        found.append(Slow(path=f"/{lab.help.slow_method.strip('/')}", request=request))
    return found


async def _in_flight(worker: Worker, calls: list[Held]) -> bool:
    """Whether they are, as far as can be seen."""
    until = time.monotonic() + bounds.SETTLE
    told = False
    # A worker need not tell its load: then time has to do.
    while time.monotonic() < until and not told:
        told = (await worker.ping()).calls_in_flight >= len(calls)
        if any(call.answer.done() for call in calls):
            return False
        if not told:
            await asyncio.sleep(0.01)
    return not any(call.answer.done() for call in calls)
