"""The callers that wait for a lease of one unit."""

import asyncio
import itertools
from collections.abc import Callable, Sequence

from hsu_worker.errors import RpcError
from hsu_worker.master import policy
from hsu_worker.master.raised_again import same_error


class Waiters:
    """Brings each caller to the policy, and what the policy decides back to the caller.

    Args:
        feed: Takes what the policy has to know.

        lendable: Whether a generation has a connection.
    """

    def __init__(
        self, feed: Callable[[policy.Event], None], lendable: Callable[[int], bool]
    ) -> None:
        self._feed = feed
        self._lendable = lendable
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[int]] = {}

    async def lease(self, until: float, what: str, *, start: bool, cycle: str = "") -> int:
        """Wait for a lease; returns the generation, to which it has to be released.

        Args:
            until: When the caller gives up, in the loop's time.

            what: Who it is.

            start: It may cause a start, and wait.

            cycle: How it came back to the unit; "": it did not.

        Raises:
            TimeoutError: It has come too late.
            RpcError: It was refused.
        """
        while True:
            generation = await self._granted(
                until, policy.Arrive(next(self._numbers), what, start, cycle)
            )
            if self._lendable(generation):
                return generation
            # It ended between the grant and this step; nothing was sent yet.
            self._feed(policy.Release(generation))

    async def _granted(self, until: float, arrival: policy.Arrive) -> int:
        waiter = arrival.waiter
        granted: asyncio.Future[int] = self._loop.create_future()
        self._waiting[waiter] = granted
        self._feed(arrival)
        if granted.done():
            del self._waiting[waiter]
            return granted.result()
        try:
            async with asyncio.timeout_at(until):
                return await granted
        except (TimeoutError, asyncio.CancelledError):
            self._abandon(waiter, granted)
            raise
        finally:
            self._waiting.pop(waiter, None)

    def settle(self, waiters: Sequence[int], result: int | RpcError) -> None:
        """Tell callers what was decided: a generation, or why there is none."""
        for waiter in waiters:
            granted = self._waiting.get(waiter)
            if isinstance(result, RpcError):
                if granted is not None and not granted.done():
                    granted.set_exception(same_error(result))
            elif granted is not None and not granted.done():
                granted.set_result(result)
            else:
                # Its caller was cancelled, and has not run yet to say so.
                self._loop.call_soon(self._feed, policy.Release(result))

    def _abandon(self, waiter: int, granted: "asyncio.Future[int]") -> None:
        # The grant may have come in the same instant in which the caller left.
        if granted.done() and not granted.cancelled() and granted.exception() is None:
            self._feed(policy.Release(granted.result()))
        else:
            self._feed(policy.Leave(waiter))
