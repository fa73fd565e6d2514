"""Calls through a master's gateway, against calls of the same worker's own address."""

import asyncio
from collections.abc import Sequence
from time import perf_counter

from bench.bare import BOUND
from bench.masters import answer, master, unit
from bench.measure import Measure, Row, rounds
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds, KindsClient


async def gateway(full: bool) -> list[Row]:
    """The gateway runs in the master's process, here also the caller's: one core for both."""
    found = []
    count = 100 if full else 30
    async with master(unit("u")) as it:
        assert it.address is not None
        assert it.token_file is not None
        await answer(it, "u")
        through = Connection.open(it.address, token=it.token_file.read_text())
        for callers in (1, 16):

            def throughput(to: KindsClient, callers: int = callers) -> Measure:
                async def measure() -> Sequence[float]:
                    async def some() -> None:
                        for _ in range(count):
                            reply = await to.unary(Ask(text="x"), timeout=BOUND)
                            assert reply.text == "x"

                    began = perf_counter()
                    await asyncio.gather(*(some() for _ in range(callers)))
                    return (count * callers / (perf_counter() - began),)

                return measure

            name = f"unary calls at the gateway, {callers} caller{'s' if callers > 1 else ''}"
            row = Row(name=name, unit="calls/s")
            series = {
                "control": throughput(it.client(Kinds)),
                "gateway": throughput(KindsClient(through)),
            }
            await rounds((row,), 15 if full else 3, series)
            found.append(row)
        await through.close()
    return found
