"""The true owner of a unit, with workers that exist in this process alone."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, Self, cast

import grpc
import grpc.aio

from hsu_worker.errors import RpcError, StartError
from hsu_worker.gen.hsu_core import HandshakeResponse, PingResponse, State
from hsu_worker.master.event import Crash, Event
from hsu_worker.master.launcher import Ending, Worker
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.policy import Arrive, Release, Tick
from hsu_worker.master.policy import Event as PolicyEvent
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.unit import Unit
from hsu_worker.master.unit_rules import rules_of
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.metadata import DISPATCHED
from tests.gen.hsu_test_kinds import Answer, Ask, KindsClient
from tests.master.sim.books import Books
from tests.master.sim.clock import run

P = ParamSpec("P")

FOR_EVER = 1e9


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test whose hours take no time, and that leaves no task behind."""

    @functools.wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return wrapper


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a worker behaves. Times are in seconds."""

    startup: float = 1.0
    fails: str = ""
    """Why its start fails."""
    lives: float = FOR_EVER
    """From its start to its end by itself."""
    clean: bool = False
    ending: float = 0.5
    warm_stop: float = 0.1
    warm_start: float = 0.2
    warm_fails: str = ""
    """The step in which it says that it can't: stop or start."""
    raises: str = ""
    """The step in which it raises what nobody expects: start, ended, stop, warm stop or warm start."""
    handshake: HandshakeResponse = field(default_factory=HandshakeResponse)


WELL = Plan()


class FakeWorker(Worker):
    """A worker, and the channel to it; counts what it is asked."""

    #: A client looks at all four kinds of call, and makes one.
    unary_stream = stream_unary = stream_stream = None

    def __init__(self, unit: UnitConfig, generation: int, unit_log: UnitLog, plan: Plan) -> None:
        super().__init__(unit, generation, unit_log, master_id="m")
        self.plan = plan
        self.asked = 0
        self.running = 0
        self.peak = 0
        self.pings = 0
        self.stuck = False
        self.leaving = False
        self.closed = False
        """Nobody can connect to it any more, and it lives."""
        self.forced = False
        self.left_alone = False
        self.stopped = False
        self.resumed = 0
        self._end: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._killer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        await asyncio.sleep(self.plan.startup)
        if self.plan.fails:
            raise StartError(self.plan.fails)
        if self.plan.raises == "start":
            raise ZeroDivisionError("start")
        self.handshake = self.plan.handshake
        self.verify(self.handshake)
        self.connection = Connection(cast("grpc.aio.Channel", self))
        if self.plan.lives != FOR_EVER:
            loop = asyncio.get_running_loop()
            self._killer = loop.call_later(self.plan.lives, self.end, self.plan.clean)

    async def stop_warm(self) -> None:
        await self._warm_step("stop", self.plan.warm_stop)

    async def start_warm(self) -> None:
        await self._warm_step("start", self.plan.warm_start)
        self.resumed += 1

    async def _warm_step(self, step: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self.plan.raises == f"warm {step}":
            raise ZeroDivisionError(step)
        if self.plan.warm_fails == step:
            raise StartError(f"its warm {step} failed")

    async def ended(self) -> Ending:
        if self.plan.raises == "ended":
            raise ZeroDivisionError("ended")
        return await asyncio.shield(self._end)

    async def stop(self, *, force: bool = False, leaving: bool = False) -> Ending:
        assert not self.stopped, "ended twice"
        self.forced, self.left_alone = force, leaving
        if self._killer is not None:
            self._killer.cancel()
        # Whatever still runs is cut off.
        self.end(clean=True)
        await asyncio.sleep(self.plan.ending)
        self.stopped = True
        if self.plan.raises == "stop":
            raise ZeroDivisionError("stop")
        return await self._end

    def end(self, clean: bool = False) -> None:
        """It exits, or crashes."""
        if not self._end.done():
            ending = Ending(text=f"exit code {int(not clean)}", code=int(not clean), clean=clean)
            self._end.set_result(ending)

    def unary_unary(self, path: str, **_: object) -> Callable[..., Coroutine[Any, Any, Any]]:
        """As a channel has it."""
        return functools.partial(self._ping if path.endswith("/Ping") else self._work)

    async def _ping(self, _request: bytes, *, timeout: float, **_: object) -> bytes:
        self.pings += 1
        if self._end.done() or self.closed:
            raise failure(grpc.StatusCode.UNAVAILABLE)
        if self.stuck:
            await asyncio.sleep(timeout)
            raise failure(grpc.StatusCode.DEADLINE_EXCEEDED)
        leaving, running = State.STATE_DRAINING, State.STATE_RUNNING
        return PingResponse(state=leaving if self.leaving else running).SerializeToString()

    def _admit(self) -> None:
        if self._end.done() or self.leaving or self.closed:
            raise failure(grpc.StatusCode.UNAVAILABLE, "no")

    async def _work(self, request: bytes, *, timeout: float | None, **_: object) -> bytes:
        self.asked += 1
        self._admit()
        self.running += 1
        self.peak = max(self.peak, self.running)
        length = FOR_EVER if self.stuck else Ask.FromString(request).number / 1000
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wait([self._end], timeout=length)
        except TimeoutError:
            raise failure(grpc.StatusCode.DEADLINE_EXCEEDED) from None
        finally:
            self.running -= 1
        if self._end.done():
            raise failure(grpc.StatusCode.UNAVAILABLE)
        if self.leaving and not self.running:
            self.end(clean=True)
        return Answer(number=self.generation).SerializeToString()


def failure(code: grpc.StatusCode, dispatched: str = "") -> grpc.aio.AioRpcError:
    trailers = ((DISPATCHED, dispatched),) if dispatched else ()
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details="it is gone"
    )


class CheckedUnit(Unit):
    """Keeps the simulator's books of what the true owner is told."""

    fed = 0
    books: Books

    def _feed(self, event: PolicyEvent) -> None:
        self._keep(event)
        super()._feed(event)
        self._compare()

    def _lend(self) -> int | None:
        generation = super()._lend()
        if generation is not None:
            self._keep(Arrive(0))
            self._compare()
        return generation

    def _give_back(self, generation: int) -> None:
        fed = self.fed
        super()._give_back(generation)
        if self.fed == fed:
            self._keep(Release(generation))
            self._compare()

    def _keep(self, event: PolicyEvent) -> None:
        self.fed += 1
        if isinstance(event, Tick):
            self.books.timer = None
        self.books.feed(event, self._loop.time())

    def _compare(self) -> None:
        # Two errors are never equal, but the same ones are told.
        assert replace(self.books.state, swap_error=None) == replace(self.state, swap_error=None)


class House:
    """A unit, its workers, and all that was told.

    Args:
        plans: Of the first generations; the last one holds for all further ones.

        config: Keys of the unit's table.
    """

    def __init__(self, *plans: Plan, **config: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.plans = plans or (WELL,)
        self.config = UnitConfig(name="u", implements=("hsu.test.v1.Kinds",), **config)
        self.workers: list[FakeWorker] = []
        self.told: list[tuple[float, str, int]] = []
        self.crashes: list[Crash] = []
        self.on_stopped: Callable[[], None] | None = None
        """Called once, in the step after the next worker has gone."""
        self.log = UnitLog()
        self.unit = CheckedUnit(self.config, self._make, self._tell, self.log)
        self.unit.books = Books(rules_of(self.config))
        self.client = KindsClient(self.unit.lease(None))

    @property
    def now(self) -> float:
        """Seconds since the house stands."""
        return round(self.loop.time() - self.began, 6)

    @property
    def worker(self) -> FakeWorker:
        """The latest one."""
        return self.workers[-1]

    @property
    def kinds(self) -> list[tuple[float, str]]:
        """The kinds of the events, with their times."""
        return [(at, kind) for at, kind, _ in self.told]

    @property
    def starts(self) -> list[float]:
        return [at for at, kind in self.kinds if kind in ("starting", "swapping")]

    def _make(self, unit: UnitConfig, generation: int, unit_log: UnitLog) -> FakeWorker:
        plan = self.plans[min(generation, len(self.plans)) - 1]
        self.workers.append(FakeWorker(unit, generation, unit_log, plan))
        return self.worker

    def _tell(self, event: Event) -> None:
        self.told.append((self.now, event.kind, event.generation))
        if event.crash is not None:
            self.crashes.append(event.crash)
        if event.kind == "stopped" and self.on_stopped is not None:
            self.loop.call_soon(self.on_stopped)
            self.on_stopped = None

    async def call(
        self, length: float = 0.0, timeout: float | None = None, *, at: float = 0.0
    ) -> tuple[float, int | str]:
        """When a call ended; and the generation that answered, or the error."""
        if at > self.now:
            await self.until(at)
        try:
            answer = await self.client.unary(Ask(number=round(length * 1000)), timeout=timeout)
        except RpcError as error:
            return self.now, f"{error.code.name} {error.dispatched}"
        return self.now, answer.number

    async def until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - self.now))

    async def close(self) -> None:
        """Close the unit; nothing may be left."""
        await self.unit.close()
        assert all(worker.stopped for worker in self.workers), "a worker was never ended"
        state = self.unit.state
        assert (0, (), ()) == (state.leases, state.waiters, state.generations)
        assert not self.unit.books.swaps

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        with suppress(*() if kind is None else (AssertionError,)):
            await self.close()
