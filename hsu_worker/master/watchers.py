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
        self._queues: set[asyncio.Queue[Event]] = set()

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

    async def watch(self, units: Collection[str]) -> AsyncGenerator[Event, None]:
        """What happens to units from now on; to all of them when none is named."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._queues.add(queue)
        try:
            while True:
                event = await queue.get()
                if not units or event.unit in units:
                    yield event
        finally:
            self._queues.discard(queue)
