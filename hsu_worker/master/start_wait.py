"""Somebody who asked for a start and waits for it, without a place among the callers."""

import asyncio
from collections.abc import Callable

from hsu_worker.errors import RpcError
from hsu_worker.master import policy
from hsu_worker.master.policy import refusals
from hsu_worker.master.raised_again import same_error

_COMING = (policy.Phase.STARTING, policy.Phase.READY, policy.Phase.WARM)


class StartWaits:
    """All who wait for the start of one unit.

    Args:
        feed: Takes what they want.
    """

    def __init__(self, feed: Callable[[policy.Event], None]) -> None:
        self._feed = feed
        self._looks: list[Callable[[policy.State, policy.Event, float], None]] = []

    async def ask(self, wait: "StartWait", wish: policy.Event) -> int:
        """Ask for a start, and wait for it; returns the generation."""
        self._looks.append(wait.look)
        try:
            self._feed(wish)
            return await wait.outcome
        finally:
            self._looks.remove(wait.look)

    def follow(self, look: Callable[[policy.State, policy.Event, float], None]) -> None:
        """Have somebody see what each event has changed, from now on."""
        self._looks.append(look)

    def look(self, state: policy.State, event: policy.Event, now: float) -> None:
        """Have each see what an event has changed."""
        for see in tuple(self._looks):
            see(state, event, now)


class StartWait:
    """Waits until a generation serves.

    It takes no lease: whoever starts a unit by hand neither waits behind its calls nor is refused
    for their number.

    Args:
        after: Only a generation with a higher number counts.
    """

    def __init__(self, after: int) -> None:
        self._after = after
        self.outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The generation, or why none comes."""

    @classmethod
    def of(cls, state: policy.State) -> "StartWait":
        """For the generation that comes or serves; behind one that is on its way out, for the next."""
        current = state.current
        if current is None or (current.phase in _COMING and not current.stop_asked):
            return cls(0)
        return cls(current.number)

    def look(self, state: policy.State, event: policy.Event, now: float) -> None:
        """See what an event has changed."""
        current = state.current
        if self.outcome.done():
            return
        counts = current is not None and current.number > self._after
        if isinstance(event, policy.StartFailed) and counts and current is not None:
            if not event.again and event.generation == current.number:
                self._fail(event.error)
        elif counts and current is not None and current.phase is policy.Phase.READY:
            if not (current.suspect or current.stop_asked):
                self.outcome.set_result(current.number)
        elif not (state.wanted or (counts and current and current.phase is policy.Phase.STARTING)):
            self._fail(refusals.standing(state, now) or refusals.stopped(state))

    def _fail(self, error: RpcError) -> None:
        self.outcome.set_exception(same_error(error))
