"""Starts and stops that go on, to see what a worker does meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from hsu_worker.conformance import bounds
from hsu_worker.conformance.finding import NotMet
from hsu_worker.conformance.held import Held, held
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.worker import Worker
from hsu_worker.gen.hsu_core import StartResponse


@asynccontextmanager
async def starting(
    lab: Lab, worker: Worker
) -> AsyncGenerator["asyncio.Task[list[StartResponse]]", None]:
    """Have a Start in the block that has begun, and has ended already if it takes no time.

    Raises:
        NotMet: It does not begin.
    """
    start = asyncio.create_task(worker.start())

    async def begun() -> bool:
        return await worker.state() != "STOPPED"

    try:
        await lab.until(begun, bounds.START, lambda: ("STARTING", "STOPPED"))
        yield start
    finally:
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)


@asynccontextmanager
async def stopping(
    lab: Lab, worker: Worker, stops: int = 1
) -> AsyncGenerator[tuple[Held, list["asyncio.Task[str]"]], None]:
    """Have a call in flight in the block, and Stops that have had the time to begin.

    Raises:
        Skipped: There is no method whose calls stay in flight.
    """

    async def begun() -> bool:
        return await worker.state() != "RUNNING"

    await worker.run()
    async with held(lab, worker) as call:
        tasks = [asyncio.create_task(worker.stop(timeout=bounds.START)) for _ in range(stops)]
        try:
            # A slow machine may take longer; one that never begins is for the checks to judge.
            with suppress(NotMet):
                await lab.until(begun, bounds.SOON, lambda: ("STOPPING", "RUNNING"))
            await asyncio.wait(tasks, timeout=bounds.SETTLE)
            yield call, tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
