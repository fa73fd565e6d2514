"""How a worker leaves, on one page, whoever asked."""

import asyncio
import atexit
import contextlib
import logging
import os
import sys
from typing import Final, NoReturn, Protocol

from hsu_worker.serving.calls import Calls
from hsu_worker.worker.answering import Answering
from hsu_worker.worker.last_resort import LAST_RESORT, end_within

log = logging.getLogger(__name__)

#: Seconds for handlers that were cut off to run their `finally`.
UNWIND_TIMEOUT: Final = 1.0
#: Seconds for the last log records to reach whoever follows them.
FLUSH_TIMEOUT: Final = 0.5


class Feed(Protocol):
    """What streams of ours read for as long as it is open."""

    def close(self) -> None:
        """Nothing more comes."""
        ...


async def shut_down(worker: Answering, *feeds: Feed, ends_process: bool = True) -> None:
    """Leave in this order. Core and health answer to the end.

    Args:
        worker: What leaves.

        feeds: Those beside the log.

        ends_process: The process leaves with it, in time, whatever hangs.
    """
    # A call that keeps the loop from turning hangs all that follows.
    if ends_process:
        end_within(worker.departure.grace_left + LAST_RESORT)

    # New calls are refused, with the dispatch "no"; health says NOT_SERVING and ends each Watch.
    worker.health.close()
    worker.lifecycle.drain()
    worker.reflection.close()
    worker.departure.began.set()

    # The calls in flight, up to the grace.
    calls = worker.dispatcher.calls
    ended = await worker.departure.calls_ended(calls)
    if ends_process:
        end_within(LAST_RESORT)
    if not ended:
        log.warning("cut off, because they took longer than the grace: %s", calls.described())
        calls.cut_off("the worker is leaving, and the call took longer than its grace")
        await _ended(calls, UNWIND_TIMEOUT)

    # What the services hold, in reverse.
    await worker.lifecycle.finish()

    # Whoever follows the log reads its last record.
    log.info("left")
    for feed in (worker.ring, *feeds):
        feed.close()
    own = worker.dispatcher.own_calls
    await _ended(own, FLUSH_TIMEOUT)
    own.cut_off("the worker has left")
    await _ended(own, FLUSH_TIMEOUT)


async def _ended(calls: Calls, timeout: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await calls.ended()


def end_process(code: int) -> NoReturn:
    """End this process, with its atexit functions and its output, and without finalising.

    Finalising costs some 30 ms, and waits for threads that may never end.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # The one who read it may be gone.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
