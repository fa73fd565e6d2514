"""How many processes may be on their way from exec to their first word at the same time."""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from hsu_worker.master.keeper.processes import LINUX

#: Seconds after which a process has no slot any more: what still goes on then is not the work of every
#: start, and one that hangs holds nobody up.
SHARE: Final = 2.0


class Slots:
    """One for each processor: more at once make all of them late, and the first one last.

    release = await slots.take()
    ...                                 # make a process, and hear of it
    release()
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(processors())

    async def take(self) -> Callable[[], None]:
        """Wait for a slot; returns what gives it back, which happens by itself after `SHARE`."""
        await self._free.acquire()
        taken = True

        def release() -> None:
            nonlocal taken
            if taken:
                taken = False
                timer.cancel()
                self._free.release()

        timer = asyncio.get_running_loop().call_later(SHARE, release)
        return release


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if LINUX else os.cpu_count() or 1
