"""A unit with several workers at the same time: each has an owner, and callers wait for all of them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from hsu_worker.errors import FailedPrecondition, RpcError
from hsu_worker.interface import AnyInterface
from hsu_worker.master import policy
from hsu_worker.master.callers import Caller, Callers
from hsu_worker.master.duration import NEVER
from hsu_worker.master.instance import Instance
from hsu_worker.master.launcher import Worker
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.policy import Phase, refusals
from hsu_worker.master.policy import replicas as chooser
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.unit import Unit
from hsu_worker.master.unit_rules import rules_of
from hsu_worker.wire.chain import cycle
from hsu_worker.wire.connection import Connection, Lease, check_loop


class Replicas:
    """The owners of one unit's workers, with the methods of a `Unit`.

    The first is what a unit has without replicas: it is started by hand and for others, and held. The
    others come when callers find no room, and end when they had nothing to do for a while. Generations
    are numbered over all of them; log and history are one.

    Args:
        first: Its further ones are made as it is.

        make: Makes the owner of a further one, with the log of the unit.
    """

    def __init__(self, first: Unit, make: Callable[[UnitConfig, UnitLog], Unit]) -> None:
        self.on_standing: Callable[[], None] = _nobody
        """As `Unit.on_standing`."""
        self._on_event: Callable[[], None] | None = None
        self.log = first.log
        self.history = first.history
        self.dependents = first.dependents
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._first = first
        self._units: list[Unit] = []
        self._last = 0
        """The number of the last generation of all."""
        self._callers = Callers(self._replan)
        self._planned: asyncio.Handle | None = None
        self._swapping = False
        self._behind: list[Unit] = []
        """Those that serve still as an earlier table says, until it is their turn to be replaced."""
        self._closing: set[asyncio.Task[None]] = set()
        self._take_up(first)
        self._resize(first.config)

    @property
    def units(self) -> tuple[Unit, ...]:
        """The owners, the first one first; for reading."""
        return tuple(self._units)

    @property
    def state(self) -> policy.State:
        """What the policy of the first knows; for reading."""
        return self._first.state

    @property
    def config(self) -> UnitConfig:
        """As `Unit.config`."""
        return self._first.config

    @property
    def launch(self) -> UnitConfig:
        """As `Unit.launch`."""
        return self._first.launch

    @property
    def waiters(self) -> int:
        """Calls that wait."""
        return len(self._callers) + sum(len(unit.state.waiters) for unit in self._units)

    @property
    def could_serve(self) -> bool:
        """As `Unit.could_serve`."""
        return self._standing() is None

    @property
    def worker(self) -> Worker | None:
        """That of the first that has one."""
        return next((unit.worker for unit in self._units if unit.worker is not None), None)

    @property
    def others_bound(self) -> float:
        """As `Unit.others_bound`."""
        return self._first.others_bound

    @others_bound.setter
    def others_bound(self, seconds: float) -> None:
        for unit in self._units:
            unit.others_bound = seconds

    @property
    def on_event(self) -> Callable[[], None] | None:
        """As `Unit.on_event`."""
        return self._on_event

    @on_event.setter
    def on_event(self, told: Callable[[], None] | None) -> None:
        self._on_event = told
        self._listen()

    def holder(self, generation: int) -> Unit:
        """The owner of a generation; of one that has gone, it is the first."""
        having = (unit for unit in self._units if unit.state.find(generation) is not None)
        return next(having, self._first)

    def evict(self, generation: int, why: str, *, drain: bool) -> None:
        """As `Unit.evict`."""
        self.holder(generation).evict(generation, why, drain=drain)

    def lease(
        self,
        interface: AnyInterface | None,
        what: str = "a call",
        *,
        start: bool = True,
        chain: str = "",
    ) -> Lease:
        """As `Unit.lease`; each call goes to the worker that has the fewest."""
        way = cycle(chain, self.config.name)

        @asynccontextmanager
        async def lease(deadline: float | None, /) -> AsyncGenerator[Connection, None]:
            check_loop(self._loop)
            unit = await self._acquire(Caller(what, start=start), deadline, way)
            # Between here and its lease nothing else runs: the room is there.
            async with unit.lease(interface, what, start=start, chain=chain)(deadline) as lent:
                yield lent

        return lease

    @asynccontextmanager
    async def borrow(self, deadline: float | None, /) -> AsyncGenerator[Connection, None]:
        """As `Unit.borrow`: of the first whose worker is there."""
        serving = (unit for unit in self._units if unit.state.phase is Phase.READY)
        async with next(serving, self._first).borrow(deadline) as lent:
            yield lent

    async def start(self, trigger: str = "asked", *, needed_by: str = "") -> int:
        """As `Unit.start`; of the others, only what stands against them is forgotten."""
        if not needed_by:
            for unit in self._further:
                if unit.state.trouble.streak and unit.state.current is None:
                    unit.tell(policy.StartWanted(trigger))
        return await self._first.start(trigger, needed_by=needed_by)

    def tell(self, event: policy.Event) -> None:
        """As `Unit.tell`, for the first."""
        self._first.tell(event)

    async def stop(self, *, hold: bool = False) -> None:
        """As `Unit.stop`, of all."""
        if hold or all(unit.state.current is None for unit in self._units):
            self._callers.refuse(refusals.stopped(self.state))
        further = [unit.stop() for unit in self._further]
        await asyncio.gather(self._first.stop(hold=hold), *further)

    async def restart(self) -> int:
        """As `Unit.restart`: all are stopped, and the first is started again."""
        further = asyncio.gather(*(unit.stop() for unit in self._further))
        try:
            return await self._first.restart()
        finally:
            await further

    async def swap(self, config: UnitConfig) -> int:
        """As `Unit.swap`, one after the other; those without a worker are launched so from then on.

        Raises:
            FailedPrecondition: It failed, or another swap is under way; the message says how many have
                been swapped, unless it is none.
        """
        name = self.config.name
        if self._replacing:
            text = f"unit {name!r}: a swap is under way; try again when it has ended"
            raise FailedPrecondition(text)
        self._swapping = True
        try:
            generation = await self._first.swap(config)
            for done, unit in enumerate(self._further, 1):
                try:
                    await self._swap(unit)
                except FailedPrecondition as error:
                    text = f"unit {name!r}: {done} of {len(self._units)} replicas were swapped, then one was not"
                    raise FailedPrecondition(f"{text}: {error.message}") from None
            return generation
        finally:
            self._swapping = False
            self._replan()

    async def _swap(self, unit: Unit) -> None:
        if unit.state.phase in (Phase.STARTING, Phase.READY):
            await unit.swap(self.launch)
        else:
            self._launch_as_the_first(unit)

    async def stand_in(self, config: UnitConfig, who: str) -> Instance:
        """As `Unit.stand_in`, where only one is left."""
        return await self._first.stand_in(config, who)

    def keep_place(self, generation: int, within: float) -> None:
        """As `Unit.keep_place`, where only one is left."""
        self._first.keep_place(generation, within)

    def reconfigure(
        self, config: UnitConfig, keys: Mapping[str, object], *, relaunch: bool
    ) -> None:
        """As `Unit.reconfigure`, of those that serve one after the other; owners come and go with `replicas`."""
        if relaunch:
            self._behind = [unit for unit in self._further if unit.state.phase is Phase.READY]
        for unit in self._units:
            if not (relaunch and unit in self._behind):
                unit.reconfigure(config, keys, relaunch=relaunch)
        self._resize(config)
        for unit in self._further:
            self._shorten(unit)
        self._replan()

    async def close(self, *, removed: bool = False) -> None:
        """As `Unit.close`, of all."""
        await asyncio.gather(*(unit.close(removed=removed) for unit in self._units), *self._closing)

    @property
    def _further(self) -> list[Unit]:
        return self._units[1:]

    @property
    def _replacing(self) -> bool:
        """Another worker takes the place of one of them, or is about to."""
        return self._swapping or any(chooser.replacing(unit.state) for unit in self._units)

    def _take_up(self, unit: Unit) -> None:
        unit.history = self.history
        unit.on_standing = self._stands
        unit.others_bound = self._first.others_bound
        unit.start_waits.follow(partial(self._look, unit))
        unit.tell(policy.Numbered(self._last))
        self._units.append(unit)

    def _resize(self, config: UnitConfig) -> None:
        while len(self._units) < config.replicas:
            self._take_up(self._make(self.launch, self.log))
            self._shorten(self._units[-1])
        for unit in self._units[config.replicas :]:
            task = asyncio.ensure_future(unit.close(removed=True))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        del self._units[config.replicas :]

    def _shorten(self, unit: Unit) -> None:
        """A further one idles by itself, whatever keeps the first."""
        config = self.config
        idle = config.idle if config.scale_down is None else config.scale_down
        rules = replace(rules_of(config), idle=None if idle == NEVER else idle)
        unit.tell(policy.Reconfigured(rules, None))

    def _launch_as_the_first(self, unit: Unit) -> None:
        """What a swap or a reload has put in the place of the first holds for all."""
        if unit.launch != self.launch:
            unit.reconfigure(self.launch, {}, relaunch=True)
            self._shorten(unit)

    def _replace_next(self) -> None:
        # Where both have no room, an old one leaves before its new one starts: never all of them.
        while self._behind and not self._replacing:
            self._launch_as_the_first(self._behind.pop(0))

    async def _acquire(self, caller: Caller, deadline: float | None, way: str) -> Unit:
        """An owner that has room for a call now."""
        if not self._callers and (free := chooser.least_loaded(self._seen())) is not None:
            return self._units[free]
        refusal = self._refusal(caller, way)
        if refusal is not None:
            raise refusal
        until = deadline
        if until is None:
            until = self._loop.time() + 2 * (self.config.start_timeout + self.others_bound)
        again = False
        while True:
            try:
                unit = await self._callers.wait(caller, until, again=again)
            except TimeoutError:
                note = "" if self.worker is None else self.worker.note()
                raise refusals.late(self.state, note, own=deadline is not None) from None
            if unit in self._units and self._look_at(unit).room:
                return unit
            again = True

    def _refusal(self, caller: Caller, way: str) -> RpcError | None:
        """Why a call that finds no room can't wait."""
        standing, seen = self._standing(), self._seen()
        if standing is not None:
            return standing
        if not (caller.start or any(each.serves for each in seen)):
            return refusals.not_running(self.state)
        if way and all(each.serves for each in seen):
            return refusals.cycle(self.state, way)
        full = len(self._callers) >= self.state.rules.queue
        return refusals.full(self.state) if full else None

    def _standing(self) -> RpcError | None:
        """As `refusals.standing`, of all."""
        now, state = self._loop.time(), self.state
        if state.closed or state.held:
            return refusals.standing(state, now)
        if any(each.serves or each.leases or each.coming for each in self._seen()):
            return None
        refused = (refusals.standing(unit.state, now) for unit in self._units)
        return next(filter(None, refused), None)

    def _seen(self) -> list[chooser.Replica]:
        return [self._look_at(unit) for unit in self._units]

    def _look_at(self, unit: Unit) -> chooser.Replica:
        return chooser.seen(unit.state, self._callers.promised[unit], self._loop.time())

    def _look(self, unit: Unit, state: policy.State, event: policy.Event, now: float) -> None:
        """Something has happened to one of them."""
        if self._behind:
            self._replan()
        if state.last > self._last:
            self._last = state.last
            for other in self._units:
                if other is not unit:
                    other.tell(policy.Numbered(self._last))
        if isinstance(event, policy.StartFailed) and not event.again and state.current is not None:
            serving = any(each.serves for each in self._seen())
            if event.generation == state.current.number and not serving:
                self._callers.refuse(event.error)

    def _listen(self) -> None:
        """While nobody waits, calls that come and go are none of its business, and cost less."""
        heard = self._hear if self._callers or self._on_event else None
        for unit in self._units:
            unit.on_event = heard

    def _hear(self) -> None:
        if self._callers:
            self._replan()
        if self._on_event is not None:
            self._on_event()

    def _replan(self) -> None:
        self._listen()
        # Once for all that happens in one turn of the loop.
        if self._planned is None:
            self._planned = self._loop.call_soon(self._plan)

    def _plan(self) -> None:
        self._planned = None
        self._replace_next()
        starts = [each.start for each in self._callers.in_turn()]
        choice = chooser.choose(self._seen(), starts, chooser.most(self.state))
        for number in choice.grants:
            self._callers.send(self._units[number])
        if choice.lost:
            self._callers.refuse(self._standing() or refusals.not_running(self.state))
        for number in choice.starts:
            unit = self._units[number]
            self._launch_as_the_first(unit)
            unit.tell(policy.StartNeeded(self._cause(), "call"))
        self._listen()

    def _cause(self) -> str:
        first, *others = self._callers.in_turn()
        more = f" and {len(others)} more" if others else ""
        full = any(unit.state.phase is Phase.READY for unit in self._units)
        return f"{first.what}{more}{'; the workers that run are full' if full else ''}"

    def _stands(self) -> None:
        self.on_standing()


#: Who owns what a unit has.
Owner: TypeAlias = Unit | Replicas


def _nobody() -> None:
    """Nobody wants to know."""
