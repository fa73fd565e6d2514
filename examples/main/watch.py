"""What the master tells about its units, as it happens."""

import asyncio

from processes import Process, alive, descendants
from screen import Screen

from hsu_worker.master import Event

#: Seconds for the units to stop, once nothing is called any more.
PATIENCE = 60.0


class StillThere(Exception):
    """Something runs that should have stopped. The message says what."""


class Watch:
    """Prints the events, and remembers which units run and which processes there were."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._running: set[str] = set()
        self._seen: set[Process] = set()
        self._changed = asyncio.Event()

    def take(self, event: Event) -> None:
        """One event, from the master."""
        match event.kind:
            case "starting":
                self._running.add(event.unit)
            case "ready":
                self._seen |= descendants()
            case "stopped" | "exited" | "failed":
                self._running.discard(event.unit)
                self._changed.set()
            case _:
                pass
        took = f" after {event.seconds:.2f} s" if event.seconds else ""
        # Below the first line stands the output of a worker that failed.
        first = event.detail.partition("\n")[0].removesuffix("; its last output:")
        self._screen.event(event.unit, f"{event.kind}{took}{f': {first}' if first else ''}")

    async def until_all_stopped(self) -> None:
        """Wait until the master has stopped every unit, because nobody calls it any more.

        Raises:
            StillThere: One goes on.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while self._running:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            names = ", ".join(sorted(self._running))
            raise StillThere(f"not stopped within {PATIENCE:g} s: {names}") from None

    def check_that_nothing_is_left(self) -> None:
        """Look for every process that ever ran below this one.

        Raises:
            StillThere: One lives.
        """
        left = sorted(pid for pid, _ in alive(self._seen | descendants()))
        if left:
            raise StillThere(f"processes are left: {', '.join(map(str, left))}")
        self._screen.line(f"no process is left of the {len(self._seen)} that ran")
