"""Many workers at once: how long they take to answer, and what they take when they are idle."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Final, TypeVar

from bench.bare import Bare, bares
from bench.masters import answer, check_made, master, unit, warm
from bench.measure import Measure, Row, rounds
from bench.processes import keeper, memory, spare
from bench.rows.replicas import replicated
from hsu_worker.master import Master

T = TypeVar("T")

#: Workers at once, and how often that is measured, quickly and in full.
CROWDS: Final = ((1, 5, 15), (10, 2, 9), (50, 1, 7))

#: Seconds after which workers that have answered are idle.
IDLE: Final = 0.3


async def crowds(full: bool) -> list[Row]:
    """1, 10 and 50 workers at once, and several of one unit."""
    found = await replicated(full)
    for count, quick, most in CROWDS:
        found += await crowd(count, most if full else quick)
    return found


async def crowd(count: int, times: int) -> list[Row]:
    """So many workers at once."""
    who = f"{count} workers at once" if count > 1 else "one worker"
    rows = (
        Row(name=f"{who}: all have answered", unit="ms"),
        Row(name=f"{who}: the first has answered", unit="ms"),
        Row(name=f"{who}, idle: PSS of each", unit="MiB"),
        Row(name=f"{who}, idle: private memory of each", unit="MiB"),
    )
    beside = Row(name=f"beside {who}, forked: PSS", unit="MiB")
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(bares(template=True))
        names = [f"u{number}" for number in range(count)]
        spawned, forked = [
            await stack.enter_async_context(master(*(unit(name, *more) for name in names)))
            for more in (('launcher = "spawn"',), ())
        ]
        await warm(forked, "u0")

        def by_hand(start: Callable[[], Awaitable[Bare]]) -> Measure:
            async def measure() -> Sequence[float]:
                workers, took = await _together([start] * count)
                shares, private = await _idle([worker.pid for worker in workers])
                await asyncio.gather(*(worker.stop() for worker in workers))
                return (*took, shares, private)

            return measure

        def of(it: Master) -> Measure:
            async def measure() -> Sequence[float]:
                if it is forked:
                    await spare(it)
                _, took = await _together([_called(it, name) for name in names])
                pids = [status.pid for status in it.status().values() if status.pid is not None]
                assert len(pids) == count
                for name in names:
                    check_made(it, name, forked=it is forked)
                shares, private = await _idle(pids)
                if it is forked:
                    await spare(it)
                    own, templates = keeper(it)
                    beside.add("the keeper", memory([own])[0])
                    beside.add("its template and spare", memory(templates)[0])
                await asyncio.gather(*(it.stop(name) for name in names))
                return (*took, shares, private)

            return measure

        series = {
            "control": by_hand(made.spawn),
            "spawned": of(spawned),
            "bare, forked": by_hand(made.fork),
            "forked": of(forked),
        }
        await rounds(rows, times, series)
    return [*rows, beside]


def _called(it: Master, name: str) -> Callable[[], Awaitable[None]]:
    return lambda: answer(it, name)


async def _together(starts: Sequence[Callable[[], Awaitable[T]]]) -> tuple[list[T], list[float]]:
    """Start all of them; milliseconds until the last has answered, and the first."""
    began = perf_counter()
    answered = []

    async def one(start: Callable[[], Awaitable[T]]) -> T:
        found = await start()
        answered.append(perf_counter())
        return found

    found = await asyncio.gather(*(one(start) for start in starts))
    return found, [(answered[-1] - began) * 1e3, (answered[0] - began) * 1e3]


async def _idle(pids: Sequence[int]) -> tuple[float, float]:
    await asyncio.sleep(IDLE)
    shares, private = memory(pids)
    return shares / len(pids), private / len(pids)
