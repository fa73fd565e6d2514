"""The one timer of a unit."""

import asyncio
from collections.abc import Callable
from math import inf


class Alarm:
    """Rings at the earliest of the times that it was set to; whoever asked for a later one asks again.

    Args:
        ring: Is called then.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        """Ring then, in the loop's time, or earlier; `inf`: not for whoever asks now."""
        if self._timer is not None and self._timer.when() > at:
            self.cancel()
        # One that comes earlier asks again, and the answer costs less than moving it at each call.
        if self._timer is None and at < inf:
            self._timer = self._loop.call_at(at, self._rung)

    def cancel(self) -> None:
        """Don't ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rung(self) -> None:
        self._timer = None
        self._ring()
