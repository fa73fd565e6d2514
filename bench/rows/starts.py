"""From a call of what is not there to its answer, and the way back."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from operator import itemgetter
from time import perf_counter
from typing import Any, Final
from unittest.mock import patch

from bench.bare import BOUND, Bare, bares
from bench.masters import absent, answer, check_made, launchers, master, unit, warm
from bench.measure import Measure, Row, rounds
from bench.processes import spare
from hsu_worker.master.spawned import Spawned
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.until import until

#: Seconds after which what follows a start is done.
IDLE: Final = 0.05

#: Takes 500 ms to import.
APP = "bench.slow:Slow"

UNITS = (
    unit("spawned", 'launcher = "spawn"'),
    unit("forked"),
    unit("before"),
    unit("preimported", "preimport = true", app=APP),
    unit("prewarmed", "prewarm = 1", 'idle = "50ms"', app=APP),
    unit("warm", 'idle = "10ms"', 'warm = "1h"', app=APP),
)


async def starts(full: bool) -> list[Row]:
    """Cold starts of each kind."""
    row = Row(name="a cold start, from the call to its answer", unit="ms")
    async with bares(template=True) as made, master(*UNITS) as it:
        await warm(it, "spawned", "forked", "preimported")

        def by_hand(start: Callable[[], Awaitable[Bare]]) -> Measure:
            async def measure() -> tuple[float]:
                began = perf_counter()
                worker = await start()
                took = _ms(began)
                await worker.stop()
                return (took,)

            return measure

        async def cold(name: str, app: str | None = None) -> tuple[float]:
            if app is not None:
                await spare(it, app)
            began = perf_counter()
            await answer(it, name)
            took = _ms(began)
            check_made(it, name, forked=name != "spawned")
            await it.stop(name)
            return (took,)

        async def next_at_once() -> tuple[float]:
            # It takes the spare, and leaves no time for another.
            await spare(it)
            await answer(it, "before")
            took = await cold("forked")
            await it.stop("before")
            return took

        async def prewarmed() -> tuple[float]:
            standbys = launchers(it)._standbys["prewarmed"]
            await until(lambda: standbys._ready)
            began = perf_counter()
            await answer(it, "prewarmed")
            took = _ms(began)
            check_made(it, "prewarmed", forked=True)
            await absent(it, "prewarmed")
            return (took,)

        await answer(it, "warm")

        async def from_warm() -> tuple[float]:
            await until(lambda: it.status()["warm"].phase == "warm")
            began = perf_counter()
            await answer(it, "warm")
            return (_ms(began),)

        series: dict[str, Measure] = {
            "control": by_hand(made.spawn),
            "spawned": partial(cold, "spawned"),
            "bare, forked": by_hand(made.fork),
            "forked": partial(cold, "forked", ""),
            "forked, right after another": next_at_once,
            "preimported": partial(cold, "preimported", APP),
            "prewarmed": prewarmed,
            "warm": from_warm,
        }
        await rounds((row,), 25 if full else 5, series)
    return [row]


async def stops(full: bool) -> list[Row]:
    """From the wish that an idle worker ends until nothing is left of it."""
    row = Row(name="stop of an idle worker", unit="ms")
    async with bares() as made, master(*UNITS[:2]) as it:
        await warm(it, "spawned", "forked")

        async def by_hand() -> tuple[float]:
            worker = await made.spawn()
            await asyncio.sleep(IDLE)
            began = perf_counter()
            await worker.stop()
            return (_ms(began),)

        def of(name: str) -> Measure:
            async def measure() -> tuple[float]:
                await answer(it, name)
                check_made(it, name, forked=name != "spawned")
                await asyncio.sleep(IDLE)
                began = perf_counter()
                await it.stop(name)
                return (_ms(began),)

            return measure

        series = {"control": by_hand, "spawned": of("spawned"), "forked": of("forked")}
        await rounds((row,), 25 if full else 5, series)
    return [row]


async def steps(full: bool) -> list[Row]:
    """Where the time of a forked start goes."""
    row = Row(name="a step of a forked start", unit="ms")
    marks: dict[str, float] = {}

    def noting(step: str, work: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def done(*args: Any) -> None:
            await work(*args)
            marks[step] = perf_counter()

        return done

    greet, lifespans = Spawned.greet, Spawned.run_lifespans
    with (
        patch.object(
            Spawned, "greet", noting("the announce line's way, channel, handshake", greet)
        ),
        patch.object(Spawned, "run_lifespans", noting("Core.Start", lifespans)),
    ):
        async with master(unit("timed", app="bench.timed:Timed")) as it:
            client = it.client(Kinds)
            for number in range(26 if full else 8):
                await spare(it)
                began = perf_counter()
                reply = await client.unary(Ask(), timeout=BOUND)
                marks |= json.loads(reply.text) | {"the call itself": perf_counter()}
                await it.stop("timed")
                # The first one waits for the template.
                if number:
                    row.add("in all", (max(marks.values()) - began) * 1e3)
                    for step, at in sorted(marks.items(), key=itemgetter(1)):
                        row.add(step, (at - began) * 1e3)
                        began = at
    return [row]


def _ms(began: float) -> float:
    return (perf_counter() - began) * 1e3
