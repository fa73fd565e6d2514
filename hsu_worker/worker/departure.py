"""The wish that the worker leaves: who has it, and how long calls in flight are given."""

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial
from typing import Final

from hsu_worker.serving.calls import Calls

log = logging.getLogger(__name__)

#: Seconds that calls in flight are given when nobody says otherwise.
DEFAULT_GRACE: Final = 30.0


class Departure:
    """Asked for by Core.Shutdown, a signal, the end of the lifeline, or a master that never came."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self._sooner = asyncio.Event()
        self._deadline = float("inf")
        self.began = asyncio.Event()
        """Set as soon as new calls are refused."""
        self.returns = False
        """Another process takes over: the worker comes back in a moment, with new code."""

    def ask(self, grace: float, why: str, *, returns: bool = False) -> float:
        """Ask the worker to leave; who asks later can only shorten the time.

        Args:
            grace: Seconds that calls in flight are given.

            why: For the log.

            returns: It comes back in a moment; whoever asks last knows.

        Returns:
            The seconds that they have from now on.
        """
        now = time.monotonic()
        log.info("leaving: %s", why)
        self.returns = returns
        self._deadline = min(self._deadline, now + grace)
        self._asked.set()
        self._sooner.set()
        return max(0.0, self._deadline - now)

    def ask_from_thread(self, grace: float, why: str, *, returns: bool = False) -> None:
        """Ask from another thread than the loop's."""
        # A loop that has ended has left already.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(partial(self.ask, grace, why, returns=returns))

    @property
    def grace_left(self) -> float:
        """Seconds that calls in flight still have."""
        return max(0.0, self._deadline - time.monotonic())

    @property
    def is_asked(self) -> bool:
        """Somebody has asked."""
        return self._asked.is_set()

    async def asked(self) -> None:
        """Wait until somebody asks."""
        await self._asked.wait()

    async def calls_ended(self, calls: Calls) -> bool:
        """Wait for the calls in flight, as long as they are given; whether all have ended."""
        if calls.in_flight:
            log.info(
                "waiting for calls, for %.1f s at the most: %s", self.grace_left, calls.described()
            )
        ended = asyncio.create_task(calls.ended())
        while not ended.done() and (left := self.grace_left) > 0:
            self._sooner.clear()
            sooner = asyncio.create_task(self._sooner.wait())
            await asyncio.wait((ended, sooner), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            sooner.cancel()
        ended.cancel()
        return calls.in_flight == 0
