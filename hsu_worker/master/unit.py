"""The owner of one unit: the only writer of its state, and the doer of what the policy decides."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc.aio

from hsu_worker.errors import Dispatch, FailedPrecondition, Unavailable
from hsu_worker.gen.hsu_core import HandshakeResponse
from hsu_worker.interface import AnyInterface
from hsu_worker.master import policy
from hsu_worker.master.alarm import Alarm
from hsu_worker.master.dependencies import Dependents
from hsu_worker.master.event import Event, Kind
from hsu_worker.master.handshake import check_replaces
from hsu_worker.master.history import UNWANTED, History
from hsu_worker.master.instance import Instance
from hsu_worker.master.launcher import Worker
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.policy import places, refusals
from hsu_worker.master.specs import Specs
from hsu_worker.master.start_wait import StartWait, StartWaits
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.unit_rules import rules_of
from hsu_worker.master.waiters import Waiters
from hsu_worker.wire.chain import cycle
from hsu_worker.wire.connection import Connection, Lease, check_loop
from hsu_worker.wire.status import from_grpc

#: What is started beside the one that serves, to take its place.
_BESIDE = ("swap", "stand-in")

#: What is told as it happens; all else follows from an end, and is told after it.
_AT_ONCE = ("held", "swapped", "warm")


class Unit:
    """Starts, lends, swaps and stops the workers of one unit.

    Args:
        config: How the unit is launched, and under which policy.

        make: Makes the worker of a generation; it does nothing before its `start`.

        tell: Takes every event.

        unit_log: Takes the output of all generations.
    """

    def __init__(
        self,
        config: UnitConfig,
        make: Callable[[UnitConfig, int, UnitLog], Worker],
        tell: Callable[[Event], None],
        unit_log: UnitLog,
    ) -> None:
        self.config = config
        self.log = unit_log
        self.on_standing: Callable[[], None] = lambda: None
        """Called when it may be that calls are refused now, or no longer."""
        self.others_bound = 0.0
        """Seconds that the starts of the units may take that it depends on."""
        #: Called after each event, while somebody waits for what its workers take.
        self.on_event: Callable[[], None] | None = None
        self.history = History(config.name, tell)
        self.dependents = Dependents(self._feed)
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._state = policy.State(rules=rules_of(config))
        self._specs = Specs(config)
        self._waiters = Waiters(self._feed, lambda number: self._state.serves(number))
        self._instances: dict[int, Instance] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.start_waits = StartWaits(self._feed)
        self._alarm = Alarm(lambda: self._feed(policy.Tick()))
        #: Set while there is no instance.
        self._empty = asyncio.Event()
        self._empty.set()
        self._handshake: HandshakeResponse | None = None
        """Of the last generation of its own that served."""

    @property
    def state(self) -> policy.State:
        """What the policy knows; for reading."""
        return self._state

    @property
    def launch(self) -> UnitConfig:
        """How its next worker is launched."""
        return self._specs[self._state.spec]

    @property
    def could_serve(self) -> bool:
        """A call would be served, perhaps after a start."""
        return refusals.standing(self._state, self._loop.time()) is None

    @property
    def worker(self) -> Worker | None:
        """The worker that calls go to, or wait for."""
        return None if self._current is None else self._current.worker

    @property
    def _current(self) -> Instance | None:
        current = self._state.current
        return None if current is None else self._instances.get(current.number)

    def lease(
        self,
        interface: AnyInterface | None,
        what: str = "a call",
        *,
        start: bool = True,
        chain: str = "",
    ) -> Lease:
        """Lends the unit's connection, for one call each; starts the unit when it has to.

        Args:
            interface: What the client knows; None: it is not checked.

            what: Who it is, for the record of why the unit was started.

            start: Whether it may wait for a start; without it an absent unit is UNAVAILABLE.

            chain: The units that the call came through; one that came back doesn't wait for room.
        """
        way = cycle(chain, self.config.name)

        @asynccontextmanager
        async def lease(deadline: float | None, /) -> AsyncGenerator[Connection, None]:
            check_loop(self._loop)
            generation = self._lend() or await self._acquire(deadline, what, start, way)
            try:
                yield self._instances[generation].connection(interface)
            except (grpc.aio.AioRpcError, grpc.aio.UsageError) as failure:
                self._suspect(generation, failure)
                raise
            finally:
                self._give_back(generation)

        return lease

    @asynccontextmanager
    async def borrow(self, _deadline: float | None, /) -> AsyncGenerator[Connection, None]:
        """The connection of the worker that is there, to look at it: that holds nothing up.

        Raises:
            Unavailable: There is none.
        """
        current = self._state.current
        if current is None or not current.serves:
            raise refusals.not_running(self._state)
        yield self._instances[current.number].connection(None)

    async def start(self, trigger: str = "asked", *, needed_by: str = "") -> int:
        """Start the unit, unless it runs; whatever stood against it is forgotten.

        Args:
            trigger: What causes it, for the record.

            needed_by: The unit that depends on it; what stands against it holds then.

        Returns:
            The generation.

        Raises:
            StartError: It won't start.
            Unavailable: Somebody stopped it, or the master leaves.
        """
        event = policy.StartNeeded(f"unit {needed_by!r} depends on it") if needed_by else None
        wish = event or policy.StartWanted(trigger)
        return await self.start_waits.ask(StartWait.of(self._state), wish)

    def tell(self, event: policy.Event) -> None:
        """Have the policy know what it has to, and wait for nothing."""
        self._feed(event)

    async def stop(self, *, hold: bool = False) -> None:
        """Let the calls end, then stop the unit, until the next call; with `hold`, until a start."""
        self._feed(policy.StopAsked(hold))
        # A caller that waited may have the next one started at once: that is not waited for.
        await asyncio.gather(*[each.gone.wait() for each in self._instances.values()])

    async def restart(self) -> int:
        """Stop the unit and start it again; calls that come meanwhile wait."""
        wait = StartWait(after=self._state.last)
        self._feed(policy.StopAsked())
        return await self.start_waits.ask(wait, policy.StartWanted("restart"))

    async def swap(self, config: UnitConfig) -> int:
        """Start another implementation beside the present one, and let it take its place.

        Returns:
            The new generation, once nothing is left of the old one.

        Raises:
            FailedPrecondition: It failed, or another swap is under way; the old one serves on.
        """
        return await self._specs.ask(config, lambda spec: self._feed(policy.SwapAsked(spec)))

    async def stand_in(self, config: UnitConfig, who: str) -> Instance:
        """Let somebody else's worker serve in the unit's place, until it leaves or is sent away.

        Args:
            config: How it is reached.

            who: Which one it is, for the record.

        Returns:
            The instance that stands for it, once calls go to it.

        Raises:
            FailedPrecondition: It can't; what served goes on.
        """
        # Another one may still be on its way out.
        while others := [each for each in self._instances.values() if each is not self._current]:
            await asyncio.gather(*[each.gone.wait() for each in others])
        generation = await self._specs.ask(
            config, lambda spec: self._feed(policy.StandInAsked(spec, who))
        )
        if generation in self._instances:
            return self._instances[generation]
        raise FailedPrecondition(f"unit {self.config.name!r}: it left as soon as it had come")

    def keep_place(self, generation: int, within: float) -> None:
        """Let calls wait for a stand-in that is about to leave, and comes back within seconds."""
        self._feed(policy.Returning(generation, within))

    def evict(self, generation: int, why: str, *, drain: bool) -> None:
        """Let a worker go for another unit's sake, if nobody uses it; with `drain` after its calls."""
        self._feed(policy.Evict(generation, why, drain))

    def reconfigure(
        self, config: UnitConfig, keys: Mapping[str, object], *, relaunch: bool
    ) -> None:
        """Let another table hold: with `relaunch` all of it, for a new worker; else some keys of it."""
        if relaunch:
            # It need not offer what the old table did.
            self._handshake = None
            self._feed(policy.Reconfigured(rules_of(config), self._specs.add(config)))
            self._specs.forget(self._state)
        else:
            self._specs.adjust(keys)
            self._feed(policy.Reconfigured(rules_of(self.launch), None))
        self.config = self.launch

    async def close(self, *, removed: bool = False) -> None:
        """Stop the unit for good: the master leaves, or its table is no longer there."""
        self._feed(policy.Close(removed))
        await self._empty.wait()
        self._alarm.cancel()

    def _lend(self) -> int | None:
        """Lend at once, where the policy says so; the generation."""
        if (lent := policy.lent(self._state)) is None:
            return None
        self._state, generation = lent
        if self.on_event is not None:
            self.on_event()
        return generation

    def _give_back(self, generation: int) -> None:
        left = policy.given_back(self._state, generation, self._loop.time())
        # Whoever listens waits for an idle one.
        if left is None or self.on_event is not None:
            self._feed(policy.Release(generation))
        else:
            self._state, at = left
            self._alarm.set(at)

    async def _acquire(self, deadline: float | None, what: str, start: bool, way: str) -> int:
        # Without a deadline of its own the start's wall budget bounds the wait, twice: a caller may
        # have to see the old generation out.
        longest = 2 * (self.config.start_timeout + self.others_bound)
        until = self._loop.time() + longest if deadline is None else deadline
        try:
            return await self._waiters.lease(until, what, start=start, cycle=way)
        except TimeoutError:
            raise refusals.late(self._state, self._note(), own=deadline is not None) from None

    def _note(self) -> str:
        """What there is to say about a worker that is waited for."""
        if self.worker is None:
            return ""
        waits = self.config.register and not self._state.trouble.reason
        return self.worker.note() or (self.worker.detail if waits else "")

    def _suspect(self, generation: int, failure: Exception) -> None:
        error = from_grpc(failure) if isinstance(failure, grpc.aio.AioRpcError) else None
        if error is None or (isinstance(error, Unavailable) and error.dispatched != Dispatch.YES):
            if error is not None and self._state.serves(generation):
                # A crash breaks its calls before it is known itself.
                self._instances[generation].calls += 1
            self._feed(policy.Suspect(generation, str(failure)))

    def _feed(self, event: policy.Event) -> None:
        if isinstance(event, policy.Lost | policy.Unresponsive | policy.Alive):
            self._note_calls(event)
        before = self._state
        self._state, effects = policy.decide(before, event, self._loop.time())
        # Before anybody can have seen what follows.
        for number in places.sent_away(before, self._state):
            self._instances[number].worker.ends()
        if refusals.may_differ(before, self._state):
            self.on_standing()
        if isinstance(event, policy.Started) and self._state.serves(event.generation):
            self._note_ready(self._instances[event.generation])
        for effect in effects:
            self._do(effect)
        self.start_waits.look(self._state, event, self._loop.time())
        if self.on_event is not None:
            self.on_event()

    def _do(self, effect: policy.Effect) -> None:
        match effect:
            case policy.Grant(waiters, generation):
                self._waiters.settle(waiters, generation)
            case policy.Wake(at):
                self._alarm.set(at)
            case policy.Refuse(waiters, error):
                self._waiters.settle(waiters, error)
            case policy.Start():
                self._start(effect)
            case policy.Stop(generation):
                self._spawn(self._stop(self._instances[generation], effect))
            case policy.WarmStop(generation):
                self._instances[generation].stop_warm()
            case policy.WarmStart(generation, trigger, why):
                self.history.add(generation, "starting", trigger, why)
                self._instances[generation].start_warm()
            case policy.Probe(generation):
                self._instances[generation].probe()
            case policy.SwapEnded(generation, error):
                self._specs.forget(self._state)
                self.config = self._specs[self._state.spec]
                self._specs.answer(generation, error)
            case policy.Tell("swapped", generation, "stand-in", why):
                self.history.add(generation, "swapped", "stand-in", why)
                # Whoever served before it may take its time to leave.
                self._specs.answer(generation)
            case policy.Tell(kind, generation, trigger, why):
                if kind not in _AT_ONCE and generation in self._instances:
                    self._instances[generation].consequences.append(effect)
                else:
                    self.history.add(generation, kind, trigger, why)

    def _start(self, effect: policy.Start) -> None:
        worker = self._make(self._specs[effect.spec], effect.generation, self.log)
        beside = effect.trigger in _BESIDE
        if beside:
            worker.verify = self._verify
        worker.residence.alone = effect.trigger == "memory"
        worker.on_progress = partial(self.history.progress, effect.generation)
        instance = self._instances[effect.generation] = Instance(worker, self._feed)
        self._empty.clear()
        kind: Kind = "swapping" if beside else "starting"
        self.history.add(effect.generation, kind, effect.trigger, effect.why)
        instance.start()

    def _verify(self, new: HandshakeResponse) -> None:
        # Asked when the candidate shakes hands: a call may have started the old one meanwhile. One
        # that doesn't run now is taken at its last word.
        check_replaces(self._handshake, new, self.config.implements, strict=self.config.strict)

    async def _stop(self, instance: Instance, effect: policy.Stop) -> None:
        began, number = self._loop.time(), instance.generation
        kind = self.history.stop_begins(effect)
        instance.sent_away = effect
        ending = await instance.stop(force=effect.force)
        detail = effect.why if kind in ("exited", "failed") else ending.text
        seconds = self._loop.time() - began
        crash = instance.crash(ending) if effect.trigger in UNWANTED else None
        self.history.add(number, kind, effect.trigger, detail, seconds=seconds, crash=crash)
        for each in instance.consequences:
            self.history.add(number, each.kind, each.trigger, each.why)
        del self._instances[number]
        self._feed(policy.Gone(number))
        instance.gone.set()
        if not self._instances:
            self._empty.set()

    def _note_ready(self, instance: Instance) -> None:
        generation, worker = self._state.find(instance.generation), instance.worker
        if generation is not None and not generation.stand_in:
            self._handshake = worker.handshake
        seconds = self._loop.time() - instance.began
        self.history.add(worker.generation, "ready", "start", worker.detail, seconds=seconds)

    def _note_calls(self, event: policy.Lost | policy.Unresponsive | policy.Alive) -> None:
        instance = self._instances.get(event.generation)
        known = self._state.find(event.generation)
        if instance is not None and known is not None:
            instance.calls = 0 if isinstance(event, policy.Alive) else instance.calls + known.leases

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
