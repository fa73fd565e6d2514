"""The callers that wait for room in any of the workers of a unit."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from hsu_worker.errors import RpcError
from hsu_worker.master.raised_again import same_error
from hsu_worker.master.unit import Unit


class Caller:
    """Somebody who wants to make a call.

    Args:
        what: Who it is, for the record of why a worker was started.

        start: Whether a worker may be started for it.
    """

    def __init__(self, what: str, *, start: bool) -> None:
        self.what: Final = what
        self.start: Final = start
        self.granted: asyncio.Future[Unit] = asyncio.get_running_loop().create_future()
        """Whose worker has room for it, or why it waits in vain."""


class Callers:
    """Those who wait, the oldest first.

    Args:
        changed: Called when somebody has come or gone, so that it may be another one's turn.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.promised: Counter[Unit] = Counter()
        """The callers that are sent to each owner, and have not gone on yet."""
        self._changed = changed
        self._waiting: deque[Caller] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def in_turn(self) -> Sequence[Caller]:
        """Those who wait still."""
        # Some have gone, and have not run yet to say so.
        self._waiting = deque(each for each in self._waiting if not each.granted.done())
        return self._waiting

    async def wait(self, caller: Caller, until: float, *, again: bool = False) -> Unit:
        """Wait for room; it is there when this returns, unless the worker was lost meanwhile.

        Args:
            caller: Who waits.

            until: When it gives up, in the loop's time.

            again: It has waited, and was promised what was lost: it is still its turn.

        Raises:
            TimeoutError: It has come too late.
            RpcError: It was refused.
        """
        if again:
            caller.granted = asyncio.get_running_loop().create_future()
            self._waiting.appendleft(caller)
        else:
            self._waiting.append(caller)
        self._changed()
        granted = caller.granted
        try:
            async with asyncio.timeout_at(until):
                return await granted
        except (TimeoutError, asyncio.CancelledError):
            granted.cancel()
            self._changed()
            raise
        finally:
            with suppress(RpcError, asyncio.CancelledError):
                self.promised[granted.result()] -= 1

    def send(self, unit: Unit) -> None:
        """Let the next one go to a worker that has room."""
        self.promised[unit] += 1
        self._waiting.popleft().granted.set_result(unit)

    def refuse(self, error: RpcError) -> None:
        """Tell all of them that they wait in vain."""
        for caller in self.in_turn():
            caller.granted.set_exception(same_error(error))
        self._waiting.clear()
