"""The same interface in several languages, behind the same master; the control is the one in Python."""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from bench.bare import BOUND
from bench.masters import master
from bench.measure import ROOT, Measure, Row, rounds
from bench.processes import memory
from hsu_worker.gen.hsu_a import InterfaceA, InterfaceAClient, SummarizeRequest
from hsu_worker.master import Master

EXAMPLES: Final = ROOT / "examples"

#: How each is launched. A program that isn't built is not measured.
PYTHON: Final = f'app = "hsu_a_service1:App"\ncwd = "{EXAMPLES / "hsu_a_service1"}"'
PROGRAMS: Final = {
    "Go": EXAMPLES / "go" / "bin" / "hsu_a_service",
    "Rust": EXAMPLES / "rust" / "bin" / "hsu_abc_service",
}

CALLERS: Final = 16
#: Calls of each caller in one round.
CALLS: Final = 50
#: Seconds after which a worker that has answered is idle.
IDLE: Final = 0.3

REQUEST: Final = SummarizeRequest(
    text="Millers make flour. Flour makes bread. It rains.", sentences=2
)


async def languages(full: bool) -> list[Row]:
    """A cold start, an idle worker's memory, and calls."""
    rows = (
        Row(name="a cold start, by language", unit="ms"),
        Row(name="an idle worker, by language: PSS", unit="MiB"),
        Row(name=f"unary calls of interface A, by language, {CALLERS} callers", unit="calls/s"),
    )
    built = {name: program for name, program in PROGRAMS.items() if program.exists()}
    launches = {
        "python": PYTHON,
        "spawned": f'{PYTHON}\nlauncher = "spawn"',
        **{name.lower(): f'command = ["{program}"]' for name, program in built.items()},
    }
    async with master(*(_table(name, launch) for name, launch in launches.items())) as it:
        for name in launches:
            await _client(it, name).summarize(REQUEST, timeout=BOUND)
            await it.stop(name)
        series: dict[str, Measure] = {
            "control": _of(it, "python"),
            "Python, spawned": _of(it, "spawned"),
            **{name: _of(it, name.lower()) for name in built},
        }
        await rounds(rows, 15 if full else 3, series)
    return list(rows)


def _table(name: str, launch: str) -> str:
    return f'[units.{name}]\n{launch}\nimplements = ["{InterfaceA.name}"]\n'


def _client(it: Master, name: str) -> InterfaceAClient:
    return it.client(InterfaceA, unit=name)


def _of(it: Master, name: str) -> Measure:
    async def measure() -> Sequence[float]:
        client = _client(it, name)
        began = perf_counter()
        await client.summarize(REQUEST, timeout=BOUND)
        cold = perf_counter() - began
        await asyncio.sleep(IDLE)
        pid = it.status()[name].pid
        assert pid is not None
        taken, _ = memory([pid])

        async def some() -> None:
            for _ in range(CALLS):
                assert (await client.summarize(REQUEST, timeout=BOUND)).chunks

        began = perf_counter()
        await asyncio.gather(*(some() for _ in range(CALLERS)))
        took = perf_counter() - began
        await it.stop(name)
        return cold * 1e3, taken, CALLERS * CALLS / took

    return measure
