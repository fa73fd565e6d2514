"""Masters to measure."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bench.bare import BOUND
from bench.measure import ROOT
from hsu_worker.master import Config, Master
from hsu_worker.master.launchers import Launchers
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.until import until

ROUTES = '[routes]\n"{}" = "{}"\n'


def unit(name: str, *more: str, app: str = "bench.service:Echo") -> str:
    """The table of one unit."""
    lines = (
        f"[units.{name}]",
        f'app = "{app}"',
        'implements = ["hsu.test.v1.Kinds"]',
        f'env = {{PYTHONPATH = "{ROOT}"}}',
        *more,
    )
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def master(*units: str) -> AsyncGenerator[Master, None]:
    """One that runs these units, and has made its templates."""
    first = units[0].partition("]")[0].removeprefix("[units.")
    implemented = units[0].partition('implements = ["')[2].partition('"')[0]
    with tempfile.TemporaryDirectory(prefix="hsu-bench-") as folder:
        config = Config.from_text("".join(units) + ROUTES.format(implemented, first), folder=folder)
        async with Master(config) as running:
            yield running


async def answer(it: Master, name: str) -> None:
    """Make one call of a unit; it starts if it has to."""
    reply = await it.client(Kinds, unit=name).unary(Ask(text="x"), timeout=BOUND)
    assert reply.text == "x"


def check_made(it: Master, name: str, *, forked: bool) -> None:
    """What is spawned, because it could not be forked, is not what is measured."""
    detail = it.status()[name].detail
    assert detail.endswith(", forked") == forked, f"{name}: {detail}"


async def warm(it: Master, *names: str) -> None:
    """Start units once, and stop them: their templates are there, and nothing is new to anybody."""
    for name in names:
        await answer(it, name)
        await it.stop(name)


def launchers(it: Master) -> Launchers:
    """What it makes workers with."""
    assert it._launchers is not None
    return it._launchers


async def absent(it: Master, name: str) -> None:
    """Wait until a unit has stopped for being idle."""
    await until(lambda: it.status()[name].pid is None)
