"""The owner of one unit: the only writer of its state, and the doer of what the policy decides."""

import asyncio
import itertools
import logging
import math
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hsu_worker.errors import (
    DeadlineExceeded,
    Dispatch,
    HandshakeError,
    RpcError,
    StartError,
)
from hsu_worker.interface import AnyInterface
from hsu_worker.master import policy
from hsu_worker.master.handshake import check_compatible
from hsu_worker.master.launcher import Worker
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.connection import Connection, Lease

log = logging.getLogger(__name__)

Kind: TypeAlias = Literal["starting", "ready", "stopping", "stopped", "exited", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a unit."""

    unit: str
    generation: int
    kind: Kind
    detail: str = ""
    """Why, or with what, in a few words."""
    seconds: float = 0.0
    """How long it took, where that means something; else 0."""


class Unit:
    """Starts, lends and stops the workers of one unit, one generation at a time.

    Args:
        config: How the unit is launched, and under which policy.

        make: Makes the worker of a generation; it does nothing before its `start`.

        tell: Takes every event.
    """

    def __init__(
        self,
        config: UnitConfig,
        make: Callable[[int, UnitLog], Worker],
        tell: Callable[[Event], None],
    ) -> None:
        self.config = config
        self.log = UnitLog()
        self._make = make
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._state = policy.State(
            unit=config.name,
            queue=config.queue,
            idle=None if math.isinf(config.idle) else config.idle,
            drain=config.drain,
        )
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._worker: Worker | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Set when nothing is left of the present generation.
        self._gone = asyncio.Event()
        self._gone.set()
        self._since = 0.0
        self._fate: tuple[Kind, str] = ("stopped", "")
        self._checked: set[tuple[int, AnyInterface]] = set()

    @property
    def state(self) -> policy.State:
        """What the policy knows; for reading."""
        return self._state

    @property
    def worker(self) -> Worker | None:
        """The present generation's worker."""
        return self._worker

    def lease(self, interface: AnyInterface) -> Lease:
        """Lends the unit's connection for calls of one interface; starts the unit when it has to."""

        @asynccontextmanager
        async def lease(deadline: float | None, /) -> AsyncGenerator[Connection, None]:
            generation = await self._acquire(deadline)
            while generation != self._lendable():
                # It ended between the grant and this step; nothing was sent yet.
                self._feed(policy.Release(generation))
                generation = await self._acquire(deadline)
            try:
                yield self._connection_for(interface)
            finally:
                self._feed(policy.Release(generation))

        return lease

    async def start(self) -> None:
        """Start the unit, unless it runs.

        Raises:
            StartError: It won't start.
        """
        self._feed(policy.Release(await self._acquire(None)))

    async def stop(self) -> None:
        """Let the calls end, then stop the unit; the next call starts it again."""
        await self._end("asked to", policy.StopAsked())

    async def close(self) -> None:
        """Stop the unit for good."""
        await self._end("the master leaves", policy.Close())
        if self._timer is not None:
            self._timer.cancel()

    async def _end(self, why: str, event: policy.Event) -> None:
        # One that is being removed already keeps its own reason.
        if self._state.phase is not policy.Phase.STOPPING:
            self._fate = ("stopped", why)
        gone = self._gone
        self._feed(event)
        await gone.wait()

    async def _acquire(self, deadline: float | None) -> int:
        waiter = next(self._numbers)
        granted: asyncio.Future[int] = self._loop.create_future()
        self._waiting[waiter] = granted
        self._feed(policy.Arrive(waiter))
        # Without a deadline of its own the start's wall budget bounds the wait, twice: a caller may
        # have to see the old generation out.
        until = deadline
        if until is None:
            until = self._loop.time() + 2 * self.config.start_timeout
        try:
            async with asyncio.timeout_at(until):
                return await granted
        except TimeoutError:
            self._abandon(waiter, granted)
            raise DeadlineExceeded(
                f"unit {self.config.name!r}: the time ran out while waiting for it to start",
                dispatched=Dispatch.NO,
            ) from None
        except asyncio.CancelledError:
            self._abandon(waiter, granted)
            raise
        finally:
            self._waiting.pop(waiter, None)

    def _abandon(self, waiter: int, granted: "asyncio.Future[int]") -> None:
        # The grant may have come in the same instant in which the caller left.
        if granted.done() and not granted.cancelled() and granted.exception() is None:
            self._feed(policy.Release(granted.result()))
        else:
            self._feed(policy.Leave(waiter))

    def _lendable(self) -> int | None:
        """The generation whose connection may be lent now."""
        ready = self._state.phase in (policy.Phase.READY, policy.Phase.DRAINING)
        return self._state.generation if ready else None

    def _connection_for(self, interface: AnyInterface) -> Connection:
        worker = self._worker
        if worker is None or worker.connection is None or worker.handshake is None:
            raise StartError(f"unit {self.config.name!r} ended before the call was sent")
        key = (worker.generation, interface)
        if key not in self._checked:
            try:
                check_compatible(
                    self.config.name,
                    interface,
                    worker.handshake.interfaces,
                    strict=self.config.strict,
                )
            except HandshakeError as error:
                raise StartError(str(error)) from error
            self._checked.add(key)
        return worker.connection

    def _feed(self, event: policy.Event) -> None:
        self._state, effects = policy.decide(self._state, event, self._loop.time())
        for effect in effects:
            match effect:
                case policy.Start(generation):
                    self._gone = asyncio.Event()
                    self._starting = self._spawn(self._start(generation))
                case policy.Stop(generation):
                    self._spawn(self._stop(generation))
                case policy.Grant(waiters, generation):
                    self._settle(waiters, generation)
                case policy.Refuse(waiters, error):
                    self._settle(waiters, error)
                case policy.Wake(at):
                    self._wake(at)

    def _settle(self, waiters: tuple[int, ...], result: int | RpcError) -> None:
        for waiter in waiters:
            granted = self._waiting.get(waiter)
            if isinstance(result, RpcError):
                if granted is not None and not granted.done():
                    granted.set_exception(_copy(result))
            elif granted is not None and not granted.done():
                granted.set_result(result)
            else:
                # Its caller was cancelled, and has not run yet to say so.
                self._loop.call_soon(self._feed, policy.Release(result))

    def _wake(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._feed, policy.Tick())

    async def _start(self, generation: int) -> None:
        self._since = self._loop.time()
        self._fate = ("stopped", "")
        self._announce(generation, "starting")
        try:
            worker = self._worker = self._make(generation, self.log)
            await worker.start()
        except StartError as error:
            self._fate = ("failed", error.message)
            self._feed(policy.StartFailed(generation, error))
            return
        except Exception as error:
            # Whatever it was, nobody may wait for ever.
            log.exception("unit %r can't be started", self.config.name)
            failure = StartError(f"unit {self.config.name!r} did not start: {error}")
            self._fate = ("failed", failure.message)
            self._feed(policy.StartFailed(generation, failure))
            return
        seconds = self._loop.time() - self._since
        self._announce(generation, "ready", worker.detail, seconds)
        self._watching = self._spawn(self._watch(worker))
        self._feed(policy.Started(generation))

    async def _watch(self, worker: Worker) -> None:
        try:
            how = await worker.ended()
        except Exception as error:
            how = f"it can't be watched: {error}"
        if self._state.phase in (policy.Phase.READY, policy.Phase.DRAINING):
            self._fate = ("exited", how)
        self._feed(policy.Lost(worker.generation))

    async def _stop(self, generation: int) -> None:
        began = self._loop.time()
        if self._watching is not None:
            self._watching.cancel()
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait((self._starting,))
        kind, detail = self._fate
        if kind == "stopped":
            reason = detail or f"not called for {self.config.idle:g} s"
            self._announce(generation, "stopping", reason)
            detail = ""
        if self._worker is not None:
            try:
                how = await self._worker.stop()
            except Exception:
                log.exception("unit %r: what is left of it can't be removed", self.config.name)
                how = "unknown"
            detail = detail or how
            self._worker = None
        self._checked = {key for key in self._checked if key[0] > generation}
        self._announce(generation, kind, detail, self._loop.time() - began)
        self._gone.set()
        self._feed(policy.Gone(generation))

    def _announce(
        self, generation: int, kind: Kind, detail: str = "", seconds: float = 0.0
    ) -> None:
        event = Event(
            unit=self.config.name,
            generation=generation,
            kind=kind,
            detail=detail,
            seconds=seconds,
        )
        level = logging.WARNING if kind in ("exited", "failed") else logging.INFO
        log.log(level, "unit %s (generation %d): %s %s", event.unit, generation, kind, detail)
        self._tell(event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _copy(error: RpcError) -> RpcError:
    """The same error once more: one exception raised by many callers would collect their frames."""
    if isinstance(error, StartError):
        return StartError(error.message, details=error.details)
    return type(error)(error.message, details=error.details, dispatched=error.dispatched)
