"""A master that is started anew under load, while a worker of its goes on: how long callers wait."""

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from bench.bare import BOUND
from bench.masters import ROUTES, unit
from bench.measure import ROOT, Measure, Row, rounds
from hsu_worker.errors import RpcError
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.metadata import UNIT
from tests.gen.hsu_test_kinds import Ask, Kinds, KindsClient

#: Takes 500 ms to import.
APP: Final = "bench.slow:Slow"
NEVER: Final = 'idle = "never"'

CALLERS: Final = 16

#: Calls that each makes before the restart, and after it.
CALLS: Final = 20

#: Seconds after which a caller whom nobody answers tries again.
PAUSE: Final = 0.01


async def survival(full: bool) -> list[Row]:
    """From the signal to the master until callers have an answer again; the control's worker is bound."""
    what = f"a restart of the master under {CALLERS} callers"
    rows = (
        Row(name=f"{what}: the next one listens", unit="ms"),
        Row(name=f"{what}: half of them have an answer", unit="ms"),
        Row(name=f"{what}: all of them have", unit="ms"),
    )
    counts = rows[-1].counts = {"calls": 0, "calls lost": 0}
    with tempfile.TemporaryDirectory(prefix="hsu-bench-") as name:
        masters = Masters(Path(name))
        await masters.begin()
        try:
            async with masters.callers("survives") as survivor, masters.callers("bound") as bound:
                series = {
                    "control": _restart(masters, bound, signal.SIGKILL, counts),
                    "kill -9": _restart(masters, survivor, signal.SIGKILL, counts),
                    "SIGTERM": _restart(masters, survivor, signal.SIGTERM, counts),
                }
                await rounds(rows, 15 if full else 2, series)
                # For good: it is not to outlive the measurement.
                await masters.stop("survives")
        finally:
            await masters.end(signal.SIGTERM)
    return list(rows)


class Masters:
    """One after the other, each with the same file, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "hsu.toml"
        tables = (
            unit("survives", NEVER, 'lifetime = "survive"', "preload = true", app=APP),
            unit("bound", NEVER, app=APP),
            ROUTES.format(Kinds.name, "survives"),
            f'[master]\nruntime_dir = "{folder / "r"}"\n',
        )
        self._file.write_text("".join(tables))
        self._process: asyncio.subprocess.Process

    async def begin(self) -> None:
        """Start the next one; when it says where it listens, it has adopted what there is."""
        self._process = await _run("master", "run", "--quiet", str(self._file))
        assert self._process.stdout is not None
        assert await self._process.stdout.readline()

    async def end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        await self._process.wait()

    async def stop(self, name: str) -> None:
        """End a unit's worker."""
        [folder] = self._folder.glob("r/hsu-*")
        process = await _run("stop", name, "--master", str(folder))
        assert await process.wait() == 0

    @asynccontextmanager
    async def callers(self, name: str) -> AsyncGenerator[Sequence[KindsClient], None]:
        """Each has a channel of its own to where one master after the other listens."""
        async with asyncio.timeout(BOUND):
            # With the token of the worker that survives: it holds for all of them.
            while not (records := [*self._folder.glob("r/hsu_surv*/*.json")]):  # noqa: ASYNC110
                await asyncio.sleep(PAUSE)
        token = json.loads(records[0].read_text())["master_token"]
        address = Address(path=str(records[0].with_name("master.sock")))
        opened = [Connection.open(address, token=token) for _ in range(CALLERS)]
        yield [
            KindsClient(replace(each, metadata=(*each.metadata, (UNIT, name)))) for each in opened
        ]
        for each in opened:
            await each.close()


def _restart(
    masters: Masters, clients: Sequence[KindsClient], how: signal.Signals, counts: dict[str, int]
) -> Measure:
    async def measure() -> Sequence[float]:
        begun = asyncio.Barrier(CALLERS + 1)
        ended = 0.0

        async def caller(client: KindsClient) -> float:
            for _ in range(CALLS):
                await answered(client)
            await begun.wait()
            while True:
                began = perf_counter()
                try:
                    await answered(client)
                except RpcError:
                    # Of these nobody has promised anything.
                    await asyncio.sleep(PAUSE)
                    continue
                if ended and began > ended:
                    break
            waited = perf_counter() - ended
            for _ in range(CALLS):
                try:
                    await answered(client)
                except RpcError:
                    counts["calls lost"] += 1
            return waited * 1e3

        async def answered(client: KindsClient) -> None:
            reply = await client.unary(Ask(text="x"), timeout=BOUND)
            assert reply.text == "x"
            counts["calls"] += 1

        calling = [asyncio.create_task(caller(client)) for client in clients]
        await begun.wait()
        ended = perf_counter()
        await masters.end(how)
        await masters.begin()
        listens = (perf_counter() - ended) * 1e3
        waits = await asyncio.gather(*calling)
        return listens, median(waits), max(waits)

    return measure


async def _run(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hsu_worker", *words), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
