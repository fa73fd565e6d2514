"""Who watches what happens to the units."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Final

from hsu_worker.master.event import Event

log = logging.getLogger(__name__)

#: Events that a watcher may be behind; it loses older ones.
WATCH_QUEUE: Final = 1000


class Watchers:
    """Tells every event to all of them.

    Args:
        on_event: Called with each event; what it raises is logged.
    """

    def __init__(self, on_event: Callable[[Event], None] | None) -> None:
        self._on_event = on_event
        self._queues: dict[asyncio.Queue[Event | None], set[str]] = {}
        """With the units that each was asked for and that are still there."""

    def __len__(self) -> int:
        return len(self._queues)

    def tell(self, event: Event) -> None:
        for queue in self._queues:
            if queue.qsize() >= WATCH_QUEUE:
                queue.get_nowait()
            queue.put_nowait(event)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                # What a watcher does wrong must not stop what it watches.
                log.exception("on_event failed for %s", event)

    def forget(self, unit: str) -> None:
        """A unit is no longer there: whoever was asked for nothing else has seen everything."""
        for queue, units in self._queues.items():
            if units == {unit}:
                queue.put_nowait(None)
            units.discard(unit)

    async def watch(self, units: Collection[str]) -> AsyncGenerator[Event, None]:
        """What happens to units from now on, until none of them is there; to all when none is named."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._queues[queue] = set(units)
        try:
            while (event := await queue.get()) is not None:
                if not units or event.unit in units:
                    yield event
        finally:
            del self._queues[queue]
