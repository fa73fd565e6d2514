"""Workers that wait to be started: launched, and greeted by the master."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from hsu_worker.errors import StartError
from hsu_worker.master.spawned import Spawned
from hsu_worker.master.tables import UnitConfig

log = logging.getLogger(__name__)

#: Seconds between the start of a worker and the launch of the next one in its place: whoever
#: waits for the start comes first.
REFILL_AFTER: Final = 0.5
#: Seconds until one that has ended by itself is replaced; twice as many after each further one, and at the most.
REPLACE_AFTER: Final = 1.0
REPLACE_MOST: Final = 60.0


class Standbys:
    """As many standbys of one unit as its `prewarm` says.

    One that can't be launched is not tried again before the next start, which tells why.

    Args:
        make: Makes a worker that is not launched yet.
    """

    def __init__(self, make: Callable[[UnitConfig], Spawned]) -> None:
        self._make = make
        self._unit: UnitConfig | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._replace_after = REPLACE_AFTER
        self._ready: dict[Spawned, asyncio.Task[None]] = {}
        self._taken: set[Spawned] = set()
        self._wanted: set[asyncio.Task[None]] = set()
        """One for each that is launched or ready."""
        self._tasks: set[asyncio.Task[None]] = set()
        """These, and those that end one."""

    def take(self, unit: UnitConfig) -> Spawned | None:
        """One that is launched as the unit says; None: there is none."""
        if self._unit != unit or not self._ready:
            return None
        standby, task = next(iter(self._ready.items()))
        del self._ready[standby]
        self._taken.add(standby)
        self._wanted.discard(task)
        task.cancel()
        return standby

    def refill(self, unit: UnitConfig, *, after: float = REFILL_AFTER) -> None:
        """Launch what is missing, in a while; what is launched in another way ends."""
        if self._unit != unit:
            self.drain()
            self._unit = unit
        self._replace_after = REPLACE_AFTER
        self._fill_later(unit, after)

    def _fill_later(self, unit: UnitConfig, after: float) -> None:
        self._disarm()
        self._timer = asyncio.get_running_loop().call_later(after, self._fill, unit)

    def drain(self) -> None:
        """End all of them, until the next `refill`."""
        self._unit = None
        self._disarm()
        for task in self._wanted:
            task.cancel()
        self._wanted.clear()
        self._ready.clear()

    async def close(self) -> None:
        """End all of them, and wait until nothing is left."""
        self.drain()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _fill(self, unit: UnitConfig) -> None:
        for _ in range((unit.prewarm or 0) - len(self._wanted)):
            task = asyncio.create_task(self._keep(unit))
            self._wanted.add(task)
            self._tasks.add(task)
            task.add_done_callback(self._wanted.discard)
            task.add_done_callback(self._tasks.discard)

    async def _keep(self, unit: UnitConfig) -> None:
        """Launch one, and look after it until somebody takes it, it ends, or nobody wants it."""
        standby = self._make(unit)
        task = asyncio.current_task()
        assert task is not None
        try:
            await standby.prepare()
            self._ready[standby] = task
            await standby.ended()
            del self._ready[standby]
            self._wanted.discard(task)
            self._replace(unit)
        except StartError as error:
            log.warning("nothing stands by: %s", error.message)
        finally:
            if standby in self._taken:
                self._taken.discard(standby)
            else:
                await _end(standby)

    def _replace(self, unit: UnitConfig) -> None:
        """One has ended that nobody has taken, and the next may fare the same."""
        after, self._replace_after = self._replace_after, min(2 * self._replace_after, REPLACE_MOST)
        log.warning(
            "unit %r: what stood by has ended; the next one follows in %g s", unit.name, after
        )
        self._fill_later(unit, after)


async def _end(standby: Spawned) -> None:
    try:
        await standby.stop()
    except Exception:
        log.exception("unit %r: what stood by can't be removed", standby.unit.name)
