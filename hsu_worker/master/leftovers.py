"""What earlier masters have left, and nobody wants: it is ended beside all else that a master begins with."""

import asyncio
import logging
from collections.abc import Callable

from hsu_worker.master.surviving import Surviving
from hsu_worker.master.tables import UnitConfig

log = logging.getLogger(__name__)


class Leftovers:
    """Ends workers. One that hangs takes its `grace` and more, which holds up only who needs its place."""

    def __init__(self) -> None:
        self.share_memory = False
        """Whether all that the master launches shares one budget: then each takes the place of each."""
        self.tell: Callable[[str, str], None] = _nobody
        """Takes the unit of each one that was ended, and why."""
        self._ends: dict[asyncio.Task[None], UnitConfig] = {}

    def end(self, worker: Surviving, why: str, *, ask: bool = True) -> None:
        """Begin to end one; with `ask` it is met first, so that it can be asked to leave."""
        task = asyncio.create_task(self._end(worker, why, ask=ask))
        self._ends[task] = worker.unit
        task.add_done_callback(self._ends.pop)

    async def cleared(self, unit: UnitConfig) -> None:
        """Wait until nothing is left of those whose place a worker takes: its unit's, its groups', its budget's."""
        launched = unit.kind in ("app", "command")
        if there := {
            task
            for task, left in self._ends.items()
            if left.name == unit.name
            or not set(unit.groups).isdisjoint(left.groups)
            or (self.share_memory and launched)
        }:
            await asyncio.wait(there)

    async def all_cleared(self) -> None:
        """Wait until nothing is left of any."""
        if self._ends:
            await asyncio.wait({*self._ends})

    async def _end(self, worker: Surviving, why: str, *, ask: bool) -> None:
        unit = worker.unit.name
        try:
            if ask:
                await worker.meet()
            ending = await worker.stop()
        except Exception:
            log.exception("unit %r: what an earlier master left can't be removed", unit)
            return
        told = f"{why}; its end: {ending.text}"
        log.warning("unit %r: what an earlier master left is not adopted: %s", unit, told)
        self.tell(unit, told)


def _nobody(_unit: str, _why: str) -> None:
    """Nobody wants to know."""
