"""What masters and the workers of a simulated machine have to say to each other."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from hsu_worker.errors import Dispatch, Unauthenticated, Unavailable, Unimplemented
from hsu_worker.gen.hsu_core import (
    HandshakeResponse,
    InterfaceInfo,
    ShutdownResponse,
    StartResponse,
    State,
    StreamLogsResponse,
)
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import CONTRACT_VERSION
from tests.master.sim.kernel import FAILED, Kernel, Proc

INTERFACE: Final = "hsu.test.v1.Kinds"

#: Seconds after its announce line in which a worker has to be claimed; see T7 of the launch contract.
CLAIM: Final = 15.0


def spawn(kernel: Kernel, request: Any, descriptors: list[Any], mark: str) -> int:
    """A worker is made: it imports, announces itself, and leaves if nobody claims it."""
    dice = kernel.dice
    proc = kernel.make(kernel.getpid(), mark, **request["env"])
    say = descriptors[-1]

    def announce() -> None:
        if proc.live:
            proc.announced = True
            line = f"HSU {CONTRACT_VERSION} {proc.instance} {proc.variables['HSU_LISTEN']}\n"
            say(line.encode())
            kernel.at(kernel.now + CLAIM, leave)

    def leave() -> None:
        if not proc.greeted:
            kernel.end(proc, FAILED)

    if dice.random() < 0.05:
        kernel.later(2.0, lambda: kernel.end(proc, FAILED))
    elif dice.random() < 0.95:
        kernel.later(2.0, announce)
    return proc.pid


class Line:
    """As a connection: to whoever listens at an address.

    Args:
        alive: Whether the master is, whose end this is.
    """

    def __init__(self, kernel: Kernel, alive: Callable[[], bool], address: Address, token: str):
        self.kernel = kernel
        self._alive = alive
        self._name = os.path.basename(address.path)
        self._token = token

    async def answering(self) -> Proc:
        """The worker at its other end, after the time that an answer takes.

        Raises:
            Unavailable: Nobody is there.

            Unauthenticated: It knows another token.
        """
        await asyncio.sleep(self.kernel.dice.uniform(0.0, 0.05))
        for proc in self.kernel.workers() if self._alive() else ():
            if proc.announced and os.path.basename(proc.variables["HSU_LISTEN"]) == self._name:
                if proc.variables["HSU_TOKEN"] != self._token:
                    raise Unauthenticated("token", dispatched=Dispatch.NO)
                return proc
        raise Unavailable("nobody listens", dispatched=Dispatch.NO)

    async def close(self) -> None:
        """Nothing is left of it."""


class Core:
    """As `CoreClient`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._kernel = line.kernel

    async def handshake(self, _request: object, *, timeout: float) -> HandshakeResponse:
        proc = await self._line.answering()
        proc.greeted = True
        return HandshakeResponse(
            contract_version=CONTRACT_VERSION,
            instance=proc.instance,
            interfaces=[InterfaceInfo(name=INTERFACE)],
        )

    async def start(self, _request: object) -> AsyncGenerator[StartResponse, None]:
        proc = await self._line.answering()
        if proc.ready is None:
            proc.ready = self._kernel.now + self._kernel.dice.choice((0.0, 0.5, 3.0))
        yield StartResponse(state=State.STATE_STARTING)
        await _end_of(proc, max(0.0, proc.ready - self._kernel.now))
        await self._line.answering()
        yield StartResponse(state=State.STATE_RUNNING)

    async def stream_logs(self, _request: object) -> AsyncGenerator[StreamLogsResponse, None]:
        await _end_of(await self._line.answering())
        yield StreamLogsResponse()
        raise Unavailable("it ended")

    async def shutdown(self, _request: object, *, timeout: float) -> ShutdownResponse:
        proc = await self._line.answering()
        proc.leaving = True
        self._kernel.later(
            self._kernel.dice.choice((0.1, 1.0, 5.0)), lambda: self._kernel.end(proc)
        )
        return ShutdownResponse()

    async def ping(self, _request: object, *, timeout: float) -> None:
        raise Unimplemented


async def _end_of(proc: Proc, within: float | None = None) -> None:
    """Wait for the end of a process, for a while."""
    ended = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    proc.on_end.append(end)
    try:
        await asyncio.wait([ended], timeout=within)
    finally:
        if end in proc.on_end:
            proc.on_end.remove(end)
