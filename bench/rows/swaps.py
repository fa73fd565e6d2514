"""What happens to calls while workers are replaced, and when one is killed."""

import asyncio
import os
import signal
from time import perf_counter

from bench.bare import BOUND
from bench.masters import answer, master, unit
from bench.measure import Row
from hsu_worker.errors import RpcError
from tests.gen.hsu_test_kinds import Ask, Kinds


async def swaps(full: bool) -> list[Row]:
    """Swaps under 64 callers: calls lost."""
    count = 200 if full else 10
    row = Row(name=f"{count} swaps under 64 callers", unit="s per swap")
    calls = lost = 0
    async with master(unit("u")) as it:
        client = it.client(Kinds)
        await answer(it, "u")
        done = asyncio.Event()

        async def caller() -> None:
            nonlocal calls, lost
            while not done.is_set():
                calls += 1
                try:
                    await client.unary(Ask(text="x"), timeout=BOUND)
                except RpcError:
                    lost += 1

        callers = [asyncio.create_task(caller()) for _ in range(64)]
        for number in range(count):
            began = perf_counter()
            await it.swap("u", app=("bench.twin:Twin", "bench.service:Echo")[number % 2])
            row.add("swap", perf_counter() - began)
        done.set()
        await asyncio.gather(*callers)
    row.counts = {"calls": calls, "calls lost": lost}
    return [row]


async def recovery(full: bool) -> list[Row]:
    """From a worker's kill -9 to the next answered call; the control is a first start."""
    row = Row(name="until the next answer", unit="ms")
    lines = ("breaker = 1000", 'backoff_most = "0s"')
    async with master(unit("u", *lines)) as it:
        await answer(it, "u")

        async def answered() -> float:
            began = perf_counter()
            while True:
                try:
                    await answer(it, "u")
                except RpcError:
                    continue
                return (perf_counter() - began) * 1e3

        for _ in range(25 if full else 5):
            await it.stop("u")
            row.add("control", await answered())
            pid = it.status()["u"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            row.add("kill -9", await answered())
            await it.stop("u")
            row.add("control again", await answered())
    return [row]
