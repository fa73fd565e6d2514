"""Several units that share groups and memory, under a clock of its own.

The units' own policies are the true ones, and so is the one of residency; workers, callers and time
are made up. Each step is held against what was promised.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final

from hsu_worker.errors import StartError
from hsu_worker.master import policy, residency
from hsu_worker.master.policy import Phase
from hsu_worker.master.residency import Member, Pool, Rules, Tenant, Use
from tests.master.sim.books import Broken, expect

STARTUP: Final = 2.0
ENDING: Final = 1.0
CALL: Final = 3.0
DRAIN: Final = 10.0

#: When nothing new happens any more.
CALM: Final = 30.0


@dataclass(eq=False, slots=True)
class Call:
    """One caller, from its arrival on."""

    unit: str
    arrived: float
    until: float = 0.0
    """Its caller makes another one, until then."""
    outcome: str = ""


@dataclass(eq=False, slots=True)
class Process:
    """One worker of the town."""

    tenant: Tenant
    alive: bool = False
    """It was let in, and not all of it is gone."""
    asked: float | None = None
    ready: float | None = None
    stopping: bool = False
    alone: bool = False
    """It is tried once more."""
    calls: set[Call] = field(default_factory=set)


class Town:
    """One seed.

    Args:
        seed: Decides everything.

        story: `crowded`, where callers call each unit again and again without a pause; `hungry`, where
            starts run out of memory while others have some; or `anything`.
    """

    def __init__(self, seed: int, story: str = "anything", *, trace: bool = False) -> None:
        self.dice = Random(seed)
        self.trace: list[str] | None = [] if trace else None
        self.now = 1000.0
        self.rules = self._rules()
        self.residency = residency.State()
        self.ledger = residency.Ledger(self.seen)
        self.units = {
            name: policy.State(
                rules=policy.Rules(
                    unit=name,
                    idle=self.dice.choice((None, 1.0, 20.0)),
                    concurrency=self.dice.choice((None, 1, 3)),
                    drain=DRAIN,
                    restart=self.dice.choice(tuple(policy.Restart)[:3]),
                    backoff_most=1.0,
                    breaker=1000,
                )
            )
            for name in self.rules.members
        }
        self.processes: dict[Tenant, Process] = {}
        self.waiting: dict[tuple[str, int], Call] = {}
        self.calls: list[Call] = []
        self.short: set[str] = set()
        """Units whose start ran out of memory, and is tried once more."""
        self.evictions = self.drained = self.retried = 0
        self.longest = 0.0
        self._numbers = itertools.count(1)
        self._heap: list[tuple[float, float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._timers: dict[str, float] = {}
        self._looks = False
        self._story = story
        self._swaps = 0

    def _rules(self) -> Rules:
        names = "abcde"[: self.dice.randint(2, 5)]
        bounds = partial(
            Pool,
            min_residency=self.dice.choice((0.0, 0.5, 2.0)),
            max_wait=self.dice.choice((3.0, 8.0)),
        )
        memory = self.dice.choice((None, 500, 700))
        pools = {"gpu": bounds(name="gpu", exclusive=True)}
        if memory is not None:
            pools[""] = bounds(memory=memory)
        if self.dice.random() < 0.3:
            pools["small"] = bounds(name="small", memory=300)
        members = {}
        for number, name in enumerate(names):
            there = [each for each in pools if self.dice.random() < (1.0 if each == "" else 0.5)]
            members[name] = Member(
                pools=tuple(there),
                memory=self.dice.choice((100, 200, 300)) if memory or "small" in there else None,
            )
            if number == 0 and "gpu" not in there and self.dice.random() < 0.3:
                members[name] = Member(pools=tuple(there), memory=100, pinned=True)
        if "small" in pools and members["a"].pinned:
            pools["small"] = bounds(name="small", memory=400)
        return Rules(pools=pools, members=members)

    # Time.

    def at(self, when: float, act: Callable[..., None], *args: Any) -> None:
        # What happens in the same instant comes in any order.
        heapq.heappush(self._heap, (when, self.dice.random(), next(self._numbers), act, args))

    def soon(self, act: Callable[..., None], *args: Any) -> None:
        self.at(self.now, act, *args)

    def wake(self, unit: str, at: float) -> None:
        """One timer for each, as the masters' alarms are; the empty name is the residency's."""
        if not self.now <= self._timers.get(unit, 0.0) <= at:
            self._timers[unit] = at
            self.at(at, self.ring, unit, at)

    def ring(self, unit: str, at: float) -> None:
        if self._timers.get(unit) == at:
            del self._timers[unit]
            if unit:
                self.feed(unit, policy.Tick())
            else:
                self.admit(residency.Look())

    def later(self, most: float, act: Callable[..., None], *args: Any) -> None:
        self.at(self.now + self.dice.uniform(0.0, most), act, *args)

    def run(self) -> None:
        self.admit(residency.Configured(self.rules))
        # Starvation takes its time to show.
        calm = self.now + (5 * CALM if self._story == "crowded" else CALM)
        for _ in range(self.dice.randint(5, 30)):
            # Often several in the same instant.
            self.at(self.now + round(self.dice.uniform(0, CALM), 1), self.arrive, self.some())
        for _ in range(self.dice.randint(0, 5)):
            self.at(self.now + self.dice.uniform(0, CALM), self.deed)
        if self._story == "crowded":
            for name in self.units:
                for _ in range(2):
                    self.soon(self.arrive, name, calm)
        steps = 0
        while self._heap:
            self.now, _, _, act, args = heapq.heappop(self._heap)
            act(*args)
            steps += 1
            expect(steps < 50_000, "it goes on for ever")
            if self.now > calm + 500:
                break
        open_calls = [call for call in self.calls if not call.outcome]
        expect(not open_calls, f"{len(open_calls)} calls never end")
        expect(not self.residency.waiting, "somebody waits for ever")

    def some(self) -> str:
        return self.dice.choice(sorted(self.units))

    # What is promised.

    def check(self) -> None:
        for pool in self.rules.pools.values():
            there = [
                each.tenant
                for each in self.processes.values()
                if each.alive and pool.name in self.rules.members[each.tenant.unit].pools
            ]
            expect(not pool.exclusive or len(there) <= 1, f"{there} are alive in {pool}")
            taken = sum(self.rules.members[each.unit].memory or 0 for each in there)
            expect(pool.memory is None or taken <= pool.memory, f"{taken} are taken of {pool}")

    def bound(self) -> float:
        """The most that a start may wait: what is promised, and what each one before it may take."""
        longest = max(pool.max_wait for pool in self.rules.pools.values())
        least = max(pool.min_residency for pool in self.rules.pools.values())
        turn = STARTUP + least + CALL + ENDING
        return longest + len(self.units) * turn

    # The policies.

    def feed(self, unit: str, event: policy.Event) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.now - 1000:8.3f} {unit} {event}")
        self.units[unit], effects = policy.decide(self.units[unit], event, self.now)
        if self.residency.restless:
            self.ledger.stir(unit)
        for effect in effects:
            self.perform(unit, effect)
        if self.residency.restless and not self._looks:
            self._looks = True
            self.soon(self.look)

    def look(self) -> None:
        self._looks = False
        self.admit(residency.Look())

    def seen(self, tenant: Tenant) -> Use:
        state = self.units[tenant.unit]
        generation = state.find(tenant.generation)
        if generation is None or generation.phase in (Phase.DRAINING, Phase.STOPPING):
            return Use(leaving=True)
        calls = generation is state.current and state.waiters
        old = state.current if generation is state.candidate else None
        return Use(
            ready=generation.phase is Phase.READY,
            busy=bool(generation.leases or calls),
            last=generation.quiet_since,
            replaces=None if old is None else Tenant(tenant.unit, old.number),
        )

    def admit(self, event: residency.Event) -> bool:
        if self.trace is not None:
            self.trace.append(f"{self.now - 1000:8.3f} {event}")
        # Who asks all of them anew decides the same.
        anew = residency.decide(self.residency, event, residency.Ledger(self.seen), self.now)
        kept = residency.decide(self.residency, event, self.ledger, self.now)
        if kept != anew:
            raise Broken(f"{kept} is decided, and would be {anew} if all were asked")
        self.residency, effects = kept
        retry = False
        for effect in effects:
            if self.trace is not None:
                self.trace.append(f"{'':8} -> {effect}")
            match effect:
                case residency.Admit(tenant):
                    self.let_in(self.processes[tenant])
                case residency.Evict():
                    self.evict(effect)
                case residency.Wake(at):
                    expect(at > self.now, "a timer in the past")
                    self.wake("", at)
                case residency.Retry():
                    retry = True
                case residency.Refuse(tenant, why):
                    raise Broken(f"{tenant} is refused: {why}")
                case _:
                    pass
        return retry

    def evict(self, effect: residency.Evict) -> None:
        tenant = effect.tenant
        process, use = self.processes[tenant], self.seen(tenant)
        expect(use.ready and not use.leaving, f"{tenant} has to go, and is not ready")
        expect(
            not self.rules.members[tenant.unit].pinned or self._beside(tenant),
            "a pinned one has to go",
        )
        expect(not use.busy or effect.drain, f"{tenant} has to go at once, and is busy")
        if not self._beside(tenant):
            least = min(
                self.rules.pools[name].min_residency
                for name in self.rules.members[tenant.unit].pools
            )
            assert process.ready is not None
            expect(self.now >= process.ready + least, f"{tenant} has to go as soon as it has come")
            waits = [self.now - each.asked for each in self.residency.waiting]
            most = min(pool.max_wait for pool in self.rules.pools.values())
            expect(not effect.drain or max(waits) >= most - 1e-6, f"{tenant} is drained for nobody")
        self.evictions += 1
        self.drained += effect.drain
        self.feed(tenant.unit, policy.Evict(tenant.generation, effect.why, effect.drain))

    def _beside(self, tenant: Tenant) -> bool:
        return any(
            each.tenant.unit == tenant.unit and each.tenant != tenant
            for each in self.residency.waiting
        )

    def perform(self, unit: str, effect: policy.Effect) -> None:
        match effect:
            case policy.Start(number):
                process = self.processes[Tenant(unit, number)] = Process(Tenant(unit, number))
                self.soon(self.ask, process)
            case policy.Stop(number, trigger):
                process = self.processes[Tenant(unit, number)]
                process.stopping = True
                cut = trigger == "evicted" and process.calls
                expect(not cut, f"{process.tenant} was evicted under a call")
                for call in process.calls:
                    call.outcome = "cut"
                self.later(ENDING, self.left, process)
            case policy.Grant(waiters, number):
                for waiter in waiters:
                    call = self.waiting.pop((unit, waiter))
                    process = self.processes[Tenant(unit, number)]
                    process.calls.add(call)
                    self.later(CALL, self.done, call, process)
            case policy.Refuse(waiters):
                for waiter in waiters:
                    self.waiting.pop((unit, waiter)).outcome = "refused"
            case policy.Wake(at):
                self.wake(unit, at)
            case _:
                pass

    # Workers.

    def ask(self, process: Process) -> None:
        if not process.stopping:
            process.asked = self.now
            alone = process.tenant.unit in self.short
            self.admit(residency.Ask(process.tenant, alone=alone))

    def let_in(self, process: Process) -> None:
        expect(not process.alive, f"{process.tenant} is let in twice")
        process.alive = True
        self.check()
        assert process.asked is not None
        waited = self.now - process.asked
        self.longest = max(self.longest, waited)
        expect(waited <= self.bound(), f"{process.tenant} waited for {waited:.1f} s")
        fails = self._fails(process)
        self.later(STARTUP, self.fails if fails else self.comes, process)

    def _fails(self, process: Process) -> bool:
        if self.now >= 1000 + CALM:
            return False
        if self._story != "hungry":
            return self.dice.random() < 0.1
        others = [each for each in self.beside(process) if each.alive]
        lonely = [
            each for each in others if each.alone and each.ready is None and not each.stopping
        ]
        expect(not lonely, f"{process.tenant} comes in while {lonely} is tried again")
        if process.tenant.unit in self.short:
            expect(not others, f"{process.tenant} is tried again beside {others}")
            process.alone = True
        return bool(others) and self.dice.random() < 0.5

    def beside(self, process: Process) -> list[Process]:
        """Workers of other units that could be sent away for its memory."""
        pools = self.rules.pools_of(process.tenant.unit)
        names = {pool.name for pool in pools if pool.memory is not None}
        return [
            each
            for each in self.processes.values()
            if each.tenant.unit != process.tenant.unit
            and not self.rules.members[each.tenant.unit].pinned
            and names.intersection(self.rules.members[each.tenant.unit].pools)
        ]

    def comes(self, process: Process) -> None:
        if process.stopping:
            return
        process.ready = self.now
        self.short.discard(process.tenant.unit)
        self.admit(residency.Ready(process.tenant))
        self.feed(process.tenant.unit, policy.Started(process.tenant.generation))
        if self.dice.random() < 0.1 and self.now < 1000 + CALM:
            self.later(20.0, self.crash, process)

    def fails(self, process: Process) -> None:
        if process.stopping:
            return
        unit, number = process.tenant
        again = ""
        if self._story == "hungry" or self.dice.random() < 0.7:
            again = "memory ran out" if self.admit(residency.RanShort(process.tenant)) else ""
            expect(not again or unit not in self.short, f"{process.tenant} is tried a third time")
            self.retried += bool(again)
        state = self.units[unit]
        current = state.current
        again_now = again and current is not None and current.number == number
        again_now = again_now and not (current is None or current.stop_asked or state.held)
        self.short.discard(unit)
        if again:
            self.short.add(unit)
        failed = policy.StartFailed(number, StartError("memory"), self.dice.random(), again)
        self.feed(unit, failed)
        if again_now:
            kept = state.waiters == self.units[unit].waiters
            expect(kept, "who waited for the next try is refused")

    def crash(self, process: Process) -> None:
        if not process.stopping:
            for call in process.calls:
                call.outcome = "crash"
            self.feed(process.tenant.unit, policy.Lost(process.tenant.generation))

    def left(self, process: Process) -> None:
        process.alive = False
        del self.processes[process.tenant]
        self.admit(residency.Left(process.tenant))
        self.feed(process.tenant.unit, policy.Gone(process.tenant.generation))

    # Callers.

    def arrive(self, unit: str, until: float = 0.0) -> None:
        call = Call(unit, self.now, until)
        self.calls.append(call)
        number = next(self._numbers)
        self.waiting[unit, number] = call
        self.feed(unit, policy.Arrive(number))

    def done(self, call: Call, process: Process) -> None:
        if call in process.calls:
            process.calls.discard(call)
            call.outcome = call.outcome or "done"
            if self.now < call.until:
                self.soon(self.arrive, call.unit, call.until)
            self.feed(process.tenant.unit, policy.Release(process.tenant.generation))

    def deed(self) -> None:
        unit = self.some()
        match self.dice.choice(("stop", "start", "swap", "swap", "tick")):
            case "stop":
                self.feed(unit, policy.StopAsked())
            case "start":
                self.feed(unit, policy.StartWanted())
            case "swap":
                self._swaps += 1
                self.feed(unit, policy.SwapAsked(self._swaps))
            case _:
                self.look()
