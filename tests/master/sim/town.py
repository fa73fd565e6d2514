"""Units that share groups and memory, under a clock of its own.

Owners, replicas, dependencies, reloads, admission and all policies are the true ones; workers, callers and
time are made up. Each decision is held against what was promised.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from random import Random
from typing import Any, Final, cast
from unittest.mock import patch

from hsu_worker.errors import RpcError, Unimplemented
from hsu_worker.master import admission, units
from hsu_worker.master.changes import changes
from hsu_worker.master.config import Config
from hsu_worker.master.event import Event
from hsu_worker.master.instance import ENTRIES
from hsu_worker.master.launchers import Launchers
from hsu_worker.master.leftovers import Leftovers
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.policy import Phase
from hsu_worker.master.replicas import Owner
from hsu_worker.master.residency import Tenant
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.units import Units
from tests.gen.hsu_test_kinds import Ask, KindsClient
from tests.master.sim.books import Broken
from tests.master.sim.clock import run
from tests.master.sim.fakes import Plan
from tests.master.sim.town_promises import CALL, Hall, Promises
from tests.master.sim.town_tables import MOST, START_TIMEOUT, Tables
from tests.master.sim.townsfolk import ENDING, SHORT, SMALL, STARTUP, Folk

#: Seconds after which nothing new happens any more.
CALM: Final = 30.0

#: Turns of the loop in which a town has to come to its end.
TURNS: Final = 20_000

STORIES: Final = {
    "anything": "all that is here, now and then",
    "crowded": "callers call each unit again and again without a pause",
    "hungry": "starts run out of memory while others have some",
    "growing": "no table says what a worker takes",
    "leaning": "most units depend on others",
    "changing": "the tables change again and again",
    "drowsy": "workers leave their lifespans as soon as they idle",
}

#: What a call may end with, beside an answer.
OUTCOMES: Final = {
    "UNAVAILABLE no",
    "UNAVAILABLE unknown",
    "UNIMPLEMENTED yes",
}


class Town:
    """One seed.

    Args:
        seed: Decides everything.

        story: One of `STORIES`.
    """

    promises: Promises

    def __init__(self, seed: int, story: str = "anything", *, trace: bool = False) -> None:
        self.seed = seed
        self.story = story
        self.dice = Random(seed)
        self.trace: list[str] | None = [] if trace else None
        self.events = 0
        self.folk: dict[Tenant, Folk] = {}
        self.outcomes: Counter[str] = Counter()
        self._tables = Tables(self.dice, story)
        self._config = self._tables.draw()
        self._units = Units(self._tell, lambda _: None)
        self.leftovers = Leftovers()
        self._pools: dict[str, tuple[str, ...]] = {}
        """Of each unit, also of those that were removed."""
        self._places = 0
        self._adoptable: dict[str, str] = {}
        self._starved: set[str] = set()
        """Units that ran out of memory with nobody beside them."""
        self._reloading = asyncio.Lock()
        self._broken = ""
        self._over = False
        self._turns = 0
        self._calls = self._deeds = self._accidents = 0
        self._refusals = self._tables.learned
        """Something happened for which a call may be refused, or may yet."""
        self._loop: asyncio.AbstractEventLoop

    @property
    def now(self) -> float:
        return self._loop.time()

    def note(self, what: object) -> None:
        self.events += 1
        if self.trace is not None:
            self.trace.append(f"{self.now - 1000:8.3f} {what}")

    def break_(self, promise: str) -> None:
        """A promise is broken; the first one is told."""
        if not (self._broken or self._over):
            self.note(promise)
            self._broken = f"at {self.now - 1000:.3f} s: {promise}"

    def expect(self, holds: object, promise: str) -> None:
        if not holds:
            self.break_(promise)

    def names(self, folk: Folk) -> tuple[str, ...]:
        """The pools of its unit, by the rules of the moment, or the last ones that it had."""
        return self._pools[folk.tenant.unit]

    def places(self) -> int:
        """The most workers that there may ever have been at once."""
        return self._places

    def run(self) -> None:
        """Live, to the end.

        Raises:
            Broken: A promise was.
        """
        # The jitter of backoffs.
        random.seed(self.seed)
        with ExitStack() as stack:
            stack.enter_context(_listening(self))
            made: dict[str, Any] = {
                "perf_counter": lambda: 0.0,
                "oom_kills": lambda: 0,
                "own_memory": self._own_memory,
            }
            stack.enter_context(patch.multiple(admission, **made))
            stack.enter_context(patch.object(units, "Admission", partial(Hall, self)))
            run(self._live(), self._look)

    def _look(self, passing: bool) -> None:
        if self._over:
            return
        self._turns += 1
        if self._turns > TURNS:
            self.break_("it goes on for ever")
        if passing and not self._broken:
            self.promises.settled()
        if self._broken:
            self._over = True
            raise Broken(self._broken)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._failed)
        self._adopt()
        self._follow(self._config)
        self._units.open(self._config, cast("Launchers", self))
        await self._units.adopt()
        self._units.begin(self._config.units)
        calls = [asyncio.ensure_future(self._call()) for _ in range(self.dice.randint(5, 30))]
        if self.story == "crowded":
            for name in self._config.units:
                calls += [asyncio.ensure_future(self._call_on(name)) for _ in range(2)]
        deeds = [asyncio.ensure_future(self._deed()) for _ in range(self.dice.randint(0, 6))]
        await asyncio.gather(*calls, *deeds)
        await asyncio.sleep(CALM)
        self.promises.ended(self._calls + self._deeds + self._accidents + len(self._config.units))
        await self._units.close()
        state = self.promises.hall.state
        left = [folk.tenant for folk in self.folk.values()] + [*state.residents, *state.waiting]
        self.expect(not left, f"{left} are left")
        if self._broken:
            raise Broken(self._broken)
        self._over = True

    def _failed(self, _loop: object, context: dict[str, Any]) -> None:
        self.break_(f"{context['message']}: {context.get('exception')!r}")

    def _tell(self, event: Event) -> None:
        self.note(f"{event.unit} {event.generation} {event.kind} {event.trigger} {event.detail}")
        self.promises.told(event)
        if event.kind in ("stopped", "exited", "failed"):
            del self.folk[Tenant(event.unit, event.generation)]

    # What stands for the launchers.

    def _adopt(self) -> None:
        """What an earlier master let in, perhaps more than fits by now."""
        if self.story in ("crowded", "hungry") or self.dice.random() < 0.6:
            return
        for name, unit in self._config.units.items():
            if unit.replicas == 1 and self.dice.random() < 0.6:
                self._adoptable[name] = self.dice.choice(
                    ("serves", "serves", "serves", "asleep", "fails")
                )

    def make(self, unit: UnitConfig, generation: int, unit_log: UnitLog) -> Folk:
        """A worker."""
        dice = self.dice
        found = self._adoptable.pop(unit.name, None)
        fails = dice.random() < 0.1 and self.story != "hungry" and self.now < 1000 + CALM
        if found is not None:
            fails = found == "fails"
        plan = Plan(
            startup=dice.uniform(0.0, STARTUP if found is None else 0.1),
            fails="it is broken" * fails,
            ending=dice.uniform(0.0, ENDING),
            warm_stop=dice.uniform(0.0, ENDING),
            warm_start=dice.uniform(0.0, STARTUP),
            warm_fails=dice.choice(("", "", "", "stop", "start")),
        )
        self._accidents += bool(plan.fails) + bool(plan.warm_fails)
        self._refusals |= bool(plan.fails)
        folk = Folk(unit, generation, unit_log, plan, self._loads, self._falls_short)
        folk.found, folk.adopting = found, found is not None
        if unit.memory is None:
            folk.weight = round(MOST * dice.uniform(0.2, 1.0))
        folk.pid = dice.getrandbits(64)
        self.folk[folk.tenant] = folk
        return folk

    async def sort_survivors(self, _units: object) -> list[str]:
        return [*self._adoptable]

    def prepare(self, _units: object) -> None:
        """Nothing stands by."""

    def keep_templates(self, _units: object) -> None:
        """Nothing is forked."""

    def forget(self, _unit: str) -> None:
        """Nothing is kept."""

    def leave(self) -> None:
        """None of its workers outlives it."""

    def _own_memory(self, pid: int) -> int:
        folk = next(each for each in self.folk.values() if each.pid == pid)
        if folk.warm:
            return SMALL
        folk.seen = max(folk.seen, folk.weight)
        return folk.weight

    def _loads(self, folk: Folk) -> None:
        """It takes what it takes from now on."""
        self.expect(folk.let_in, f"{folk.tenant} starts, and was not let in")
        # One that was adopted asleep is warm later.
        if (folk.found is not None and not folk.warm) or folk.entries == ENTRIES:
            return
        for name in folk.unit.depends_on:
            ready = name in self._units and self._units[name].state.phase is Phase.READY
            self.expect(ready, f"{folk.tenant} starts, and {name!r} is not ready")

    def _falls_short(self, folk: Folk) -> str:
        """A hungry one may fail while others have some of its memory."""
        hungry = self.story == "hungry" and (folk.alone or self.promises.rivals(folk))
        if not hungry or self.dice.random() < (0.8 if folk.alone else 0.5):
            return ""
        self._accidents += 1
        self._refusals = True
        if folk.alone:
            self._starved.add(folk.tenant.unit)
        return SHORT

    # Callers.

    async def _call(self) -> None:
        await asyncio.sleep(round(self.dice.uniform(0.0, CALM), 1))
        name = self.dice.choice(sorted(self._config.units))
        own = self.dice.uniform(0.0, 10.0) if self.dice.random() < 0.2 else None
        await self._one(name, own)

    async def _call_on(self, name: str) -> None:
        # Starvation takes its time to show.
        while self.now < 1000 + 5 * CALM:
            if not await self._one(name):
                await asyncio.sleep(1.0)

    async def _one(self, name: str, timeout: float | None = None) -> bool:
        """One call; returns whether it was answered."""
        began, length = self.now, round(self.dice.uniform(0.0, CALL) * 1000)
        self._calls += 1

        def lease(deadline: float | None) -> Any:
            if name not in self._units:
                raise Unimplemented("it was removed")
            return self._units[name].lease(None)(deadline)

        try:
            await KindsClient(lease).unary(Ask(number=length), timeout=timeout)
        except RpcError as error:
            outcome = f"{error.code.name} {error.dispatched}"
            late = timeout is not None and outcome.startswith("DEADLINE_EXCEEDED")
            self.expect(
                late or outcome in OUTCOMES, f"a call of {name!r} ends with {outcome}: {error}"
            )
            self.expect(late or self._refusals, f"a call of {name!r} is refused in calm: {error}")
            starved = self._starved & {name, *self.promises.needs(name)}
            short = not late and SHORT in error.message
            self.expect(starved or not short, f"a call of {name!r} is refused: {error}")
        else:
            outcome = "served"
        self.outcomes[outcome] += 1
        # Who says nothing has twice a start's bound; whatever it is told then, nobody was there for it.
        took = self.now - began
        self.expect(took < 2 * START_TIMEOUT, f"a call of {name!r} takes {took:.0f} s: {outcome}")
        return outcome == "served"

    # Accidents and operators.

    async def _deed(self) -> None:
        await asyncio.sleep(round(self.dice.uniform(0.0, CALM), 1))
        every = ["swap", "swap", "start", "crash"]
        if self.story == "changing":
            every = ["reload"]
        elif self.story != "hungry":
            every += ["stop", "hold", "restart", "reload", "reload", "reload"]
        what, name = self.dice.choice(every), self.dice.choice(sorted(self._units))
        self.note(f"{what} {name}")
        self._deeds += 1
        self._refusals = True
        unit = self._units[name]
        try:
            async with asyncio.timeout(2 * START_TIMEOUT):
                await self._do(what, name, unit)
        except RpcError:
            pass
        except TimeoutError:
            # The first replica may wait for as long as the others serve.
            learned = any(each.memory is None for each in self._config.units.values())
            waits = learned and what in ("start", "hold", "restart")
            self.expect(waits, f"{what} {name} never ends")

    async def _do(self, what: str, name: str, unit: Owner) -> None:
        match what:
            case "swap":
                await self._units.swap(name, unit.config)
            case "start":
                await unit.start()
            case "stop":
                await unit.stop()
            case "hold":
                await unit.stop(hold=True)
                await unit.start()
            case "restart":
                await unit.restart()
            case "reload":
                await self._reload()
            case _:
                there = [each for each in self.folk.values() if each.ready_at is not None]
                if there:
                    self.dice.choice(there).end()

    async def _reload(self) -> None:
        """As a master does it."""
        async with self._reloading:
            await self._units.ended()
            old, new = self._config, self._tables.change(self._config)
            self._config = new
            self._follow(new)
            differ = changes(old, new)
            self.note(differ)
            await asyncio.shield(self._units.change(differ, old, new))

    def _follow(self, config: Config) -> None:
        machine = ("",) * (config.master.memory is not None)
        self._pools |= {name: (*unit.groups, *machine) for name, unit in config.units.items()}
        self._places = max(
            self._places, 2 + sum(unit.replicas + 1 for unit in config.units.values())
        )


@contextmanager
def _listening(town: Town) -> Generator[None]:
    """What a master logs as an error, nobody has foreseen."""
    log, ear = logging.getLogger("hsu_worker"), logging.Handler(logging.ERROR)
    ear.emit = lambda record: town.break_(f"{record.getMessage()}: {record.exc_info}")  # type: ignore[method-assign]
    level, propagate = log.level, log.propagate
    log.addHandler(ear)
    log.setLevel(logging.ERROR)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(ear)
        log.setLevel(level)
        log.propagate = propagate
