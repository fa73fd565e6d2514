"""What is measured, one function per row."""

import asyncio
import gc
import os
import resource
import signal
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter, process_time
from typing import Any

from bench.masters import bare, master, unit
from bench.measure import Row, rounds
from hsu_worker.errors import RpcError
from hsu_worker.master import Config, Master
from hsu_worker.master.process_stat import cpu_seconds
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds, KindsClient


async def leases(full: bool) -> list[Row]:
    """What the master adds to a call: the lease itself, and a call with it."""
    cost = Row(name="a lease taken and given back", unit="µs")
    call = Row(name="a unary call, one caller", unit="µs")
    count = 2000 if full else 500
    async with master(unit("u")) as it, bare() as connection:
        client, direct = it.client(Kinds), KindsClient(connection)
        await client.unary(Ask(text="x"), timeout=60)
        await direct.unary(Ask(text="x"), timeout=60)
        lease = it._unit("u").lease(Kinds)

        async def lend() -> float:
            began = perf_counter()
            for _ in range(count * 10):
                async with lease(None):
                    pass
            return (perf_counter() - began) / count / 10 * 1e6

        def calls(to: KindsClient) -> Callable[[], Awaitable[float]]:
            async def measure() -> float:
                began = perf_counter()
                for _ in range(count):
                    await to.unary(Ask(text="x"), timeout=60)
                return (perf_counter() - began) / count * 1e6

            return measure

        await rounds(cost, 9 if full else 3, {"lease": lend})
        series = {"control": calls(direct), "through a lease": calls(client)}
        await rounds(call, 9 if full else 3, series)
    return [cost, call]


async def gateway(full: bool) -> list[Row]:
    """Calls through the gateway against calls of the same worker's own address."""
    found = []
    async with master(unit("u")) as it:
        assert it.address is not None
        assert it.token_file is not None
        await it.start("u")
        through = Connection.open(it.address, token=it.token_file.read_text())
        direct = it.client(Kinds)
        passed = KindsClient(through)
        # The gateway runs in the master's process, here also the caller's: one core for both.
        for callers in (1, 16):
            row = Row(name=f"unary calls, {callers} callers", unit="calls/s")

            def throughput(
                to: KindsClient, callers: int = callers
            ) -> Callable[[], Awaitable[float]]:
                async def measure() -> float:
                    count = 100 if full else 30

                    async def some() -> None:
                        for _ in range(count):
                            await to.unary(Ask(text="x"), timeout=60)

                    began = perf_counter()
                    await asyncio.gather(*(some() for _ in range(callers)))
                    return count * callers / (perf_counter() - began)

                return measure

            series = {"control": throughput(direct), "gateway": throughput(passed)}
            await rounds(row, 9 if full else 3, series)
            found.append(row)
        await through.close()
    return found


async def swaps(full: bool) -> list[Row]:
    """Swaps under 64 callers: calls lost."""
    count = 200
    row = Row(name=f"{count} swaps under 64 callers", unit="s per swap")
    calls = lost = 0
    async with master(unit("u")) as it:
        client = it.client(Kinds)
        await client.unary(Ask(text="x"), timeout=60)
        done = asyncio.Event()

        async def caller() -> None:
            nonlocal calls, lost
            while not done.is_set():
                calls += 1
                try:
                    await client.unary(Ask(text="x"), timeout=60)
                except RpcError:
                    lost += 1

        callers = [asyncio.create_task(caller()) for _ in range(64)]
        for number in range(count):
            began = perf_counter()
            await it.swap("u", app=f"bench.service:{('Twin', 'Echo')[number % 2]}")
            row.add("swap", perf_counter() - began)
        done.set()
        await asyncio.gather(*callers)
    row.counts = {"calls": calls, "calls lost": lost}
    return [row]


async def recovery(full: bool) -> list[Row]:
    """From a worker's kill -9 to the next answered call; the control is a first start."""
    row = Row(name="until the next answer", unit="ms")
    count = 15 if full else 5
    lines = ("breaker = 1000", 'backoff_most = "0s"')
    async with master(unit("u", "bench.service:Echo", *lines)) as it:
        client = it.client(Kinds)

        async def answered() -> float:
            began = perf_counter()
            while True:
                try:
                    await client.unary(Ask(text="x"), timeout=60)
                except RpcError:
                    continue
                return (perf_counter() - began) * 1e3

        for _ in range(count):
            await it.stop("u")
            row.add("control", await answered())
            pid = it.status()["u"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            row.add("kill -9", await answered())
            await it.stop("u")
            row.add("control again", await answered())
    return [row]


async def scale(full: bool) -> list[Row]:
    """A master with 1,000 configured units, and 100 idle ones."""
    size = Row(name="a master with 1,000 configured units", unit="ms")
    memory = Row(name="what 1,000 configured units take", unit="MiB")
    toml = "".join(unit(f"u{number}", "bench.service:Echo") for number in range(1000))
    toml += '[routes]\n"hsu.test.v1.Kinds" = "u0"\n'
    with tempfile.TemporaryDirectory(prefix="hsu-bench-") as folder:
        for _ in range(5 if full else 3):
            gc.collect()
            before = _resident()
            began = perf_counter()
            config = Config.from_text(toml, folder=folder)
            size.add("read the file", (perf_counter() - began) * 1e3)
            began = perf_counter()
            async with Master(config):
                size.add("start", (perf_counter() - began) * 1e3)
                if not memory.samples:
                    # Later rounds take what the first one gave back.
                    memory.add("resident, grown by", (_resident() - before) / (1 << 20))
    idle = Row(name="CPU while 100 units idle", unit="% of a core")
    count, seconds = 100, 60.0 if full else 10.0
    idle.name = f"CPU while {count} units idle"
    toml = "".join(unit(f"u{number}") for number in range(count))
    toml += '[routes]\n"hsu.test.v1.Kinds" = "u0"\n'
    async with master(toml) as it:
        # Cold starts are cheap one by one, and slow all at once.
        for number in range(count):
            await it.start(f"u{number}")
        pids = [each.pid for each in it.status().values() if each.pid]
        began, own, workers = perf_counter(), process_time(), _cpu(pids)
        await asyncio.sleep(seconds)
        took = perf_counter() - began
        idle.add("the master", (process_time() - own) / took * 100)
        idle.add("all workers together", (_cpu(pids) - workers) / took * 100)
    return [size, memory, idle]


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _cpu(pids: list[int]) -> float:
    return sum(cpu_seconds(pid) or 0.0 for pid in pids)


ROWS: dict[str, Callable[[bool], Coroutine[Any, Any, list[Row]]]] = {
    each.__name__: each for each in (leases, gateway, swaps, recovery, scale)
}
