"""The workers of a town, and who makes them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from hsu_worker.master.launcher import Ending
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.residency import Tenant
from hsu_worker.master.tables import UnitConfig
from tests.master.sim.fakes import FakeWorker, Plan
from tests.master.sim.town_tables import MOST

STARTUP: Final = 2.0
ENDING: Final = 1.0

#: What a worker without its lifespans takes.
SMALL: Final = 1

#: What a start that ran out of memory says.
SHORT: Final = "MemoryError: no room"


class Folk(FakeWorker):
    """A worker that takes room from the moment in which it is let in until nothing is left of it.

    Args:
        loads: Called when it begins to take what it takes, at its start and at each warm one.

        falls_short: Tells at the end of its start why it fails; "": it doesn't.
    """

    def __init__(
        self,
        unit: UnitConfig,
        generation: int,
        log: UnitLog,
        plan: Plan,
        loads: "Callable[[Folk], None]",
        falls_short: "Callable[[Folk], str]",
    ) -> None:
        super().__init__(unit, generation, log, plan)
        self.tenant = Tenant(unit.name, generation)
        self.weight = unit.memory or MOST
        """What it truly takes, with its lifespans."""
        self.seen = 0
        """The most that a master saw of it."""
        self.let_in = False
        self.entries = 0
        """How often it was let in: what it depends on may be gone by then, and then it waits anew."""
        self.alone = False
        """Its start is tried once more, because memory ran out."""
        self.warm = False
        """It has left its lifespans."""
        self.ready_at: float | None = None
        self.found: str | None = None
        """Of one that outlived an earlier master: what comes of its adoption; None: it is none."""
        self.began = False
        self._loads, self._falls_short = loads, falls_short

    @property
    def holds(self) -> bool:
        """It takes room, with its lifespans or without."""
        return self.let_in and not self.stopped

    async def start(self) -> None:
        self.began = True
        self._loads(self)
        await asyncio.sleep(self.plan.startup)
        fails = self.plan.fails or self._falls_short(self)
        self.plan = replace(self.plan, startup=0.0, fails=fails)
        await super().start()
        self.asleep = self.warm = self.found == "asleep"
        self.ready_at = asyncio.get_running_loop().time()

    async def stop_warm(self) -> None:
        await super().stop_warm()
        self.warm = True

    async def start_warm(self) -> None:
        self._loads(self)
        self.warm = False
        await super().start_warm()
        self.ready_at = asyncio.get_running_loop().time()

    async def stop(self, *, force: bool = False, leaving: bool = False) -> Ending:
        ending = await super().stop(force=force, leaving=leaving)
        whole = self.weight if self.ready_at is not None else self.weight // 2
        return replace(ending, peak_memory=whole * self.began)
