"""One line on the terminal that tells how far something is; none in a pipe."""

import asyncio
import shutil
import sys
import time
from types import TracebackType
from typing import Final, Self

from hsu_worker.cli._asking import plain

#: Seconds between two looks at the clock.
_TICK: Final = 0.2


class ProgressLine:
    """Shows, on stderr, the latest report of each unit with the seconds since the beginning.

    async with ProgressLine() as line:
        line.report("index", 0.4, "reading documents")      # index: 40% reading documents, 3 s
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._reports: dict[str, str] = {}
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if sys.stderr.isatty():
            self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        self.clear()

    def report(self, unit: str, fraction: float, text: str) -> None:
        """Show how far a unit is."""
        self._reports[unit] = f"{unit}: {fraction:.0%} {plain(text)}".rstrip()
        self._show()

    def done(self, unit: str) -> None:
        """Show it no more."""
        self._reports.pop(unit, None)
        self.clear()

    def clear(self) -> None:
        """Make room for another line."""
        if self._ticking is not None:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    async def _tick(self) -> None:
        while True:
            self._show()
            await asyncio.sleep(_TICK)

    def _show(self) -> None:
        if self._ticking is not None:
            seconds = f", {time.monotonic() - self._began:.0f} s"
            room = shutil.get_terminal_size().columns - len(seconds) - 1
            text = "; ".join(self._reports.values()) or "starting"
            sys.stderr.write(f"\r\x1b[K{text[: max(room, 0)]}{seconds}")
            sys.stderr.flush()
