"""A master with 1,000 configured units, 200 of which run."""

import asyncio
import gc
import tempfile
from time import perf_counter, process_time
from typing import Final

from bench.masters import ROUTES, answer, master, unit
from bench.measure import Row
from bench.processes import cpu, keeper, memory, resident
from hsu_worker.master import Config, Master
from tests.gen.hsu_test_kinds import Kinds

CONFIGURED: Final = 1000


async def scale(full: bool) -> list[Row]:
    """What 1,000 units cost when they are there, and when many of them run."""
    return [*await configured(full), *await running(200, 60.0 if full else 5.0)]


async def configured(full: bool) -> list[Row]:
    """What 1,000 of them take when they are only there."""
    time = Row(name="a master with 1,000 configured units", unit="ms")
    grown = Row(name="what 1,000 configured units take", unit="MiB")
    toml = "".join(_units()) + ROUTES.format(Kinds.name, "u0")
    with tempfile.TemporaryDirectory(prefix="hsu-bench-") as folder:
        for _ in range(5 if full else 3):
            gc.collect()
            before = resident()
            began = perf_counter()
            config = Config.from_text(toml, folder=folder)
            time.add("read the file", (perf_counter() - began) * 1e3)
            began = perf_counter()
            async with Master(config):
                time.add("start", (perf_counter() - began) * 1e3)
                if not grown.samples:
                    # Later rounds take what the first one gave back.
                    grown.add("resident, grown by", (resident() - before) / (1 << 20))
    return [time, grown]


async def running(count: int, seconds: float) -> list[Row]:
    """So many of them at once, then idle for a while."""
    who = f"{count} of 1,000 units"
    time = Row(name=f"{who} at once", unit="s")
    idle = Row(name=f"{who}, idle: CPU", unit="% of a core")
    taken = Row(name=f"{who}, idle: PSS", unit="MiB")
    async with master(*_units()) as it:
        names = [f"u{number}" for number in range(count)]
        began = perf_counter()
        await asyncio.gather(*(answer(it, name) for name in names))
        time.add("all have answered", perf_counter() - began)
        pids = [each.pid for each in it.status().values() if each.pid is not None]
        assert len(pids) == count
        own, templates = keeper(it)
        await asyncio.sleep(1)
        began, spent = perf_counter(), process_time()
        before = cpu(pids), cpu((own, *templates))
        await asyncio.sleep(seconds)
        took = perf_counter() - began
        idle.add("the master", (process_time() - spent) / took * 100)
        idle.add("all workers together", (cpu(pids) - before[0]) / took * 100)
        idle.add(
            "the keeper, its template and spare", (cpu((own, *templates)) - before[1]) / took * 100
        )
        taken.add("all workers together", memory(pids)[0])
        taken.add("the keeper, its template and spare", memory((own, *templates))[0])
        began = perf_counter()
        await asyncio.gather(*(it.stop(name) for name in names))
        time.add("all have stopped", perf_counter() - began)
    return [time, idle, taken]


def _units() -> list[str]:
    return [unit(f"u{number}") for number in range(CONFIGURED)]
