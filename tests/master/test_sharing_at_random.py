"""Units that share memory and groups when anything happens at any time: true owners, and workers of this
process under a virtual clock.
"""

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest

from hsu_worker.errors import ConfigError, RpcError
from hsu_worker.master.changes import changes
from hsu_worker.master.config import Config
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.policy import Phase
from hsu_worker.master.tables import UnitConfig
from tests.gen.hsu_test_kinds import Ask, KindsClient
from tests.master.sim.clock import run
from tests.master.sim.fakes import FakeWorker, Plan
from tests.master.sim.mutants import Mutant, planted
from tests.master.test_dependencies import Village

SEEDS = 60

#: Seconds after which nobody does anything new; and by when all who wait have had their turn.
CALM, END = 20.0, 1000.0

#: Seeds in which a planted bug has to show itself.
BOUND = 100


def text(dice: random.Random) -> str:
    """Some `hsu.toml`; that may be nonsense."""
    names = "abcde"[: dice.randint(2, 5)]
    bounds = f'min_residency = "{dice.choice(("0s", "1s"))}"\nmax_wait = "{dice.choice((3, 8))}s"\n'
    groups = {"gpu": "exclusive = true", "ram": f'memory = "{dice.choice((400, 600))}MB"'}
    tables, used = [], set()
    for number, name in enumerate(names):
        members = [each for each in groups if dice.random() < 0.3]
        used.update(members)
        needs = [each for each in names[number + 1 :] if dice.random() < 0.3]
        lines = [
            f'[units.{name}]\napp = "a:A"\nimplements = ["i.{name}"]',
            f'memory = "{dice.choice((100, 200, 300))}MB"\nidle = "{dice.choice((1, 30))}s"',
            f"groups = {members!r}\ndepends_on = {needs!r}".replace("'", '"'),
            *(line for line in ("pinned = true", "preload = true") if dice.random() < 0.1),
            *([f'warm = "{dice.choice((1, 30))}s"'] if dice.random() < 0.4 else []),
            *([f"concurrency = 1\nreplicas = {dice.randint(1, 3)}"] if dice.random() < 0.6 else []),
        ]
        tables.append("\n".join(lines))
    tables += [f"[groups.{name}]\n{groups[name]}\n{bounds}" for name in sorted(used)]
    return "\n".join([*tables, f'[master]\nmemory = "{dice.choice((500, 700))}MB"\n{bounds}'])


def config(dice: random.Random) -> Config:
    while True:
        with suppress(ConfigError):
            return Config.from_text(text(dice))


class Process(FakeWorker):
    """One worker of the crowd."""

    crowd: "Crowd"

    async def start(self) -> None:
        self.crowd.alive.append(self)
        self.crowd.check(self)
        await super().start()

    async def stop(self, **how: bool) -> Any:
        try:
            return await super().stop(**how)
        finally:
            if self in self.crowd.alive:
                self.crowd.alive.remove(self)


class Crowd(Village):
    """One seed.

    Args:
        seed: Decides everything.

        deeds: What happens beside calls.
    """

    def __init__(self, seed: int, *deeds: str) -> None:
        self.dice = random.Random(seed)
        self.deeds = deeds
        self.alive: list[Process] = []
        self.broken: list[str] = []
        self.changing = asyncio.Lock()
        super().__init__({}, {})

    def read(self, _tables: object) -> Config:
        return config(self.dice)

    def make(self, unit: UnitConfig, generation: int, unit_log: UnitLog) -> FakeWorker:
        dice = self.dice
        plan = Plan(
            startup=dice.uniform(0.1, 2.0),
            ending=dice.uniform(0.1, 1.0),
            warm_start=dice.uniform(0.1, 1.0),
            fails="MemoryError" if "fail" in self.deeds and dice.random() < 0.2 else "",
        )
        worker = Process(unit, generation, unit_log, plan)
        worker.crowd, worker.adopting = self, self.adopting
        self.workers.append(worker)
        return worker

    def check(self, worker: Process) -> None:
        """What is promised when one starts."""
        state = self.units._admission.state
        for pool in () if worker.adopting else state.rules.pools_of(worker.unit.name):
            there = [
                each.unit.name
                for each in self.alive
                if pool in state.rules.pools_of(each.unit.name)
            ]
            taken = sum(map(state.memory, there))
            if (pool.exclusive and len(there) > 1) or (pool.memory and taken > pool.memory):
                self.broken.append(f"{there} take {taken} of {pool}")
        for name in () if self.deeds else worker.unit.depends_on:
            if self.units[name].state.phase is not Phase.READY:
                self.broken.append(f"{worker.unit.name!r} starts without {name!r}")

    async def calls(self) -> None:
        """Some, one after the other."""
        await asyncio.sleep(self.dice.uniform(0.0, CALM))
        name = self.dice.choice(sorted(self.units))
        for _ in range(self.dice.randint(1, 6)):
            try:
                client = KindsClient(self.units[name].lease(None))
                await client.unary(Ask(number=self.dice.randrange(3000)))
            except (RpcError, KeyError) as error:
                if not self.deeds:
                    self.broken.append(str(error))

    async def deed(self) -> None:
        await asyncio.sleep(self.dice.uniform(0.0, CALM))
        unit = self.units[self.dice.choice(sorted(self.units))]
        with suppress(RpcError):
            match self.dice.choice(self.deeds):
                case "stop":
                    await unit.stop()
                case "swap":
                    await unit.swap(unit.config)
                case "crash" if self.alive:
                    self.dice.choice(self.alive).end()
                case "reload":
                    async with self.changing:
                        old, self.config = self.config, config(self.dice)
                        await self.units.change(changes(old, self.config), old, self.config)
                case _:
                    pass

    async def live(self) -> None:
        async with self:
            if "adopt" in self.deeds:
                self.adopting = True
                found = [self.units[name].start("adopt") for name in list(self.units)[:3]]
                await asyncio.gather(*found, return_exceptions=True)
                self.adopting = False
            self.units.begin(self.config.units)
            calls = [self.calls() for _ in range(self.dice.choice((5, 25)))]
            deeds = [self.deed() for _ in range(5 if self.deeds else 0)]
            try:
                async with asyncio.timeout(END):
                    await asyncio.gather(*calls, *deeds)
            except TimeoutError:
                self.broken.append("somebody waits for ever")
            await asyncio.sleep(100.0)
            self.expect_nobody(self.units._admission.state.waiting)
        self.expect_nobody(self.units._admission.state.residents)

    def expect_nobody(self, left: object) -> None:
        if left:
            self.broken.append(f"{left} are left")


async def broken(seed: int, *deeds: str) -> list[str]:
    """What was promised, and not kept."""
    # The jitter of a backoff.
    random.seed(seed)
    crowd = Crowd(seed, *deeds)
    await crowd.live()
    return crowd.broken


STORIES = (
    (),
    ("swap", "stop", "crash"),
    ("reload", "swap", "stop"),
    ("adopt", "reload", "crash"),
    ("fail", "swap", "crash"),
)


@pytest.mark.parametrize("deeds", STORIES, ids=[" ".join(each) or "calm" for each in STORIES])
def test_whatever_happens_all_get_their_turn_and_nothing_takes_too_much(
    deeds: tuple[str, ...],
) -> None:
    for seed in range(SEEDS):
        assert [] == run(broken(seed, *deeds)), f"seed {seed}"


MUTANTS = (
    Mutant(
        "a start doesn't look whether what it depends on has stayed",
        "T42",
        "instance:Instance._enter",
        "not left or self.worker.adopting or self.worker.stands()",
        "True",
    ),
    Mutant(
        "a start waits for what it depends on and has its room meanwhile",
        "T42",
        "instance:Instance._enter",
        "self.worker.residence.left(0)",
        "pass",
    ),
    Mutant(
        "the place is free before its worker is gone",
        "T31",
        "residency.plan:Plan._served",
        "if not self._future.lacks(claim) and not self._present.lacks(claim):",
        "if not self._future.lacks(claim):",
    ),
)


def first_broken() -> int | None:
    return next((seed for seed in range(BOUND) if run(broken(seed))), None)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    with planted(mutant, "hsu_worker.master"):
        assert first_broken() is not None
