"""What a unit depends on: ready before a worker of it starts, kept while that serves, stopped after it."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from hsu_worker.errors import RpcError, StartError
from hsu_worker.master import policy
from hsu_worker.master.launcher import Worker, cancel

if TYPE_CHECKING:
    from hsu_worker.master.replicas import Owner


class Dependents:
    """Counts the workers that need a unit.

    Args:
        feed: Takes what the unit's policy has to know.
    """

    def __init__(self, feed: Callable[[policy.Event], None]) -> None:
        self._feed = feed
        self._count = 0

    def add(self) -> None:
        """One more needs it."""
        self._change(1)

    def remove(self) -> None:
        """One of them doesn't any more."""
        self._change(-1)

    def _change(self, by: int) -> None:
        self._count += by
        self._feed(policy.Needed(self._count))


class Dependencies:
    """The units that one worker needs.

    Args:
        worker: Says while it starts what it waits for.

        find: The unit of a name.
    """

    def __init__(self, worker: Worker, find: "Callable[[str], Owner]") -> None:
        self._worker = worker
        self._find = find
        self._kept: list[Owner] = []
        self._runs = worker.adopting
        """Its lifespans are entered: what is to be ready before them is not waited for."""

    async def ready(self) -> None:
        """Start them all, and wait. They are kept from now on, whatever comes of it.

        A worker that runs already has not to wait, and must not be lost to the failure of another one.

        No budget of the worker's own start runs meanwhile: each of them has its own.

        Raises:
            StartError: One won't come; the message says which, and why.
        """
        waiting = list(self._worker.unit.depends_on)
        self._kept = [self._find(name) for name in waiting]
        # All at once: a stop in the same moment lets all of them go.
        for unit in self._kept:
            unit.dependents.add()
        if self._runs:
            self._runs = False
            return
        detail = self._worker.detail

        async def start(unit: "Owner") -> None:
            await self._started(unit)
            waiting.remove(unit.config.name)
            self._say(waiting, detail)

        self._say(waiting, detail)
        starts = [asyncio.ensure_future(start(unit)) for unit in self._kept]
        try:
            await asyncio.gather(*starts)
        finally:
            await cancel(*starts)

    def stand(self) -> bool:
        """They are ready, all of them."""
        return all(unit.state.phase is policy.Phase.READY for unit in self._kept)

    def let_go(self) -> None:
        """The worker doesn't need them any more."""
        kept, self._kept = self._kept, []
        for unit in kept:
            unit.dependents.remove()

    async def _started(self, unit: "Owner") -> None:
        own = self._worker.unit.name
        try:
            await unit.start(needed_by=own)
        except RpcError as error:
            why = f"it depends on {unit.config.name!r}: {error.message}"
            raise StartError(f"unit {own!r} did not start: {why}") from error

    def _say(self, waiting: list[str], detail: str) -> None:
        worker = self._worker
        if not waiting:
            worker.progress, worker.detail = "", detail
            return
        units = " and ".join(map(repr, waiting))
        worker.progress = worker.detail = f"waits for unit{'s' * (len(waiting) > 1)} {units}"
        worker.on_progress(0.0, worker.progress)


def bound_waits(units: "Mapping[str, Owner]") -> None:
    """Have who calls without a deadline wait for what each unit depends on, too."""

    def bound(unit: "Owner") -> float:
        others = [units[name] for name in unit.launch.depends_on if name in units]
        return max((each.config.start_timeout + bound(each) for each in others), default=0.0)

    for unit in units.values():
        unit.others_bound = bound(unit)


async def close_in_order(units: "Collection[Owner]", *, removed: bool = False) -> None:
    """Stop units for good, each as soon as those are gone that depend on it."""

    async def close(unit: "Owner") -> None:
        name = unit.config.name
        dependents = [each for each in units if name in each.launch.depends_on]
        await asyncio.gather(*(closing[each.config.name] for each in dependents))
        await unit.close(removed=removed)

    closing = {unit.config.name: asyncio.ensure_future(close(unit)) for unit in units}
    await asyncio.gather(*closing.values())
