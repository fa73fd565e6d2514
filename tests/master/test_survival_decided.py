"""What was decided about a worker that outlives its master: the next master doesn't undo it."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.errors import HsuError
from hsu_worker.master import Master
from hsu_worker.master.policy import Phase
from hsu_worker.master.unit import Unit
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import app, starts
from tests.master.test_survival import COUNT, SCRIPT, WAITS, World, folder, lives
from tests.until import until

__all__ = ["folder"]

#: A call that lasts until it may end.
LASTS = """
async def unary(self, request):
    Path("called").touch()
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return request
"""

#: In a master that is killed: a call lasts, and meanwhile something is decided.
DECIDES = """
        from pathlib import Path
        from tests.master.test_survival_decided import decided_under_a_call
        tasks = await decided_under_a_call(master, {decision!r}, Path(sys.argv[1]).parent)
        print("started", flush=True)"""


async def decided_under_a_call(
    master: Master, decision: str, folder: Path
) -> list[asyncio.Future[Any]]:
    """Once a worker drains that has a call; returns what goes on meanwhile."""
    call = asyncio.ensure_future(master.client(Kinds).unary(Ask(), timeout=60))
    await until((folder / "called").exists)
    decided = asyncio.ensure_future(master.swap("u") if decision == "swap" else master.stop("u"))
    await until(lambda: drains(master))
    return [call, decided]


def drains(master: Master) -> bool:
    unit = master._units["u"]
    assert isinstance(unit, Unit)
    return any(each.phase is Phase.DRAINING for each in unit.state.generations)


async def next_master_keeps_to_it(world: World, decision: str) -> None:
    old, *new = starts(world.folder)
    assert len(new) == (decision == "swap")
    async with world.master() as master:
        await until(lambda: not lives(old))
        assert new == [record["pid"] for record in world.records]
        phase = Phase.READY if new else Phase.ABSENT
        assert (phase, new[0] if new else None) == (
            master.status()["u"].phase,
            master.status()["u"].pid,
        )
    assert [old, *new] == starts(world.folder)


@pytest.mark.parametrize("decision", ["swap", "stop"])
async def test_t24_what_was_decided_stays_so_when_the_master_is_killed_while_a_call_lasts(
    folder: Path, decision: str
) -> None:
    world = World(folder, launch=app(folder, LASTS, before=COUNT))
    script = SCRIPT.replace(
        '\n        print("started", flush=True)', DECIDES.format(decision=decision)
    )
    async with world.killed("u", script=script):
        pass
    (folder / "go").touch()
    await next_master_keeps_to_it(world, decision)


@pytest.mark.parametrize("decision", ["swap", "stop"])
async def test_t24_what_was_decided_stays_so_when_the_master_leaves_while_a_call_lasts(
    folder: Path, decision: str
) -> None:
    world = World(folder, "drain = '2s'", launch=app(folder, LASTS, before=COUNT))
    async with world.master() as master:
        tasks = await decided_under_a_call(master, decision, folder)
    with suppress(HsuError):
        await asyncio.gather(*tasks)
    (folder / "go").touch()
    await next_master_keeps_to_it(world, decision)


async def test_t24_a_stop_that_is_asked_for_during_a_start_is_known_to_the_next_master(
    folder: Path,
) -> None:
    """The calls that wait for the start come first, and with them the drain."""
    world = World(folder, launch=app(folder, WAITS, before=COUNT))
    script = SCRIPT.replace(
        "for unit in sys.argv[2:]:\n            await master.start(unit)",
        "call = asyncio.ensure_future(master.client(Kinds).unary(Ask(), timeout=60))\n"
        "        while not master.status()['u'].waiters:\n"
        "            await asyncio.sleep(0.002)\n"
        "        stop = asyncio.ensure_future(master.stop('u'))\n"
        "        await asyncio.sleep(0)",
    )
    async with world.killed("u", script=script):
        await until(lambda: [record["pid"] for record in world.records if record["pid"]])
    (pid,) = starts(folder)
    (folder / "go").touch()
    async with world.master() as master:
        assert Phase.ABSENT == master.status()["u"].phase
        await until(lambda: not lives(pid))
