"""What a second worker of a unit brings: calls that keep a processor busy."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Final

from bench.masters import master, unit
from bench.measure import Measure, Row, rounds
from hsu_worker.master import Master
from tests.gen.hsu_test_kinds import Ask, Kinds

#: Milliseconds that a call computes.
COMPUTES: Final = 5

#: Callers at once.
CALLERS: Final = 8


async def replicated(full: bool) -> list[Row]:
    """Calls in a second, of a unit with one worker and of the same one with two."""
    row = Row(name=f"{CALLERS} callers, {COMPUTES} ms of computing each", unit="calls/s")
    seconds = 3.0 if full else 0.5
    async with AsyncExitStack() as stack:
        series: dict[str, Measure] = {}
        for count, name in enumerate(("control", "2 replicas"), 1):
            keys = ("concurrency = 2", f"replicas = {count}", 'idle = "never"')
            toml = unit("u", *keys, app="bench.service:Busy")
            it = await stack.enter_async_context(master(toml))
            series[name] = _throughput(it, seconds)
            # All that there will be are there.
            await series[name]()
            assert count == len(it.status()["u"].pids)
        await rounds([row], 9 if full else 3, series)
    return [row]


def _throughput(it: Master, seconds: float) -> Measure:
    async def measure() -> Sequence[float]:
        client = it.client(Kinds)
        began, calls = perf_counter(), 0

        async def caller() -> None:
            nonlocal calls
            while perf_counter() < began + seconds:
                await client.unary(Ask(number=COMPUTES), timeout=30)
                calls += 1

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return [calls / (perf_counter() - began)]

    return measure
