"""What an earlier master has left, and what does not answer: the next master doesn't wait for its end."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from hsu_worker.master import surviving, units
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import app, starts
from tests.master.test_survival import COUNT, SCRIPT, WAITS, World, folder, lives
from tests.until import until
from tests.worker.process import ROOT

__all__ = ["folder"]

#: Each process notes which of those before it are still there.
SEES = """
from hsu_worker.master.keeper.processes import process_line
before = open('starts').read().split() if os.path.exists('starts') else []
there = [pid for pid in before if (line := process_line(int(pid))) and line.live]
open('beside', 'a').write(' '.join(there) + '\\n')
"""


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A master that waits for nobody who hangs, or hardly."""
    monkeypatch.setattr(units, "ADOPT_WITHIN", 0.1)
    monkeypatch.setattr(surviving, "MEET_WITHIN", 0.1)


async def test_a_leftover_that_hangs_holds_up_its_successor_alone(folder: Path) -> None:
    world = World(
        folder, 'survivor = "stop"', "grace = '5s'", launch=app(folder, before=SEES + COUNT)
    )
    async with world.killed("u"):
        (hung,) = starts(folder)
    os.kill(hung, signal.SIGSTOP)
    async with world.master() as master:
        assert lives(hung)
        await master.client(Kinds).unary(Ask(), timeout=60)
        assert not lives(hung)
        assert 2 == len(starts(folder))
    assert ["", ""] == (folder / "beside").read_text().splitlines()


async def test_of_two_workers_of_a_swap_the_one_that_hangs_holds_up_nobody(folder: Path) -> None:
    world = World(folder, "grace = '5s'", launch=app(folder, WAITS, before=COUNT))
    (folder / "go").touch()
    gone = f"os.unlink({str(folder / 'go')!r})"
    swaps = f'{gone}\n        swap = asyncio.ensure_future(master.swap("u"))\n        print('
    script = SCRIPT.replace("import asyncio, sys", "import asyncio, os, sys")
    async with world.killed("u", script=script.replace("print(", swaps)):
        await until(lambda: len(world.records) == 2 and all(each["pid"] for each in world.records))
    hung, new = (each["pid"] for each in sorted(world.records, key=lambda each: each["start"]))
    (folder / "go").touch()
    os.kill(hung, signal.SIGSTOP)
    async with world.master() as master:
        await master.client(Kinds).unary(Ask(), timeout=60)
        assert lives(hung)
        assert new == master.status()["u"].pid
    # It was being ended: who leaves sees that through.
    assert (lives(hung), lives(new)) == (False, True)


@pytest.mark.parametrize(("budget", "grace"), [("", 60), ('memory = "1GiB"\n', 3)])
async def test_a_leftover_that_hangs_holds_up_whoever_shares_the_machines_memory(
    folder: Path, budget: str, grace: int
) -> None:
    launch = app(folder, before=COUNT)
    keys = f'{launch}\nenv = {{PYTHONPATH = "{ROOT}"}}\nimplements = ["{Kinds.name}"]'
    routes = f'[routes]\n"{Kinds.name}" = "u"'
    more = f"[units.v]\n{keys}\n{routes}"
    world = World(folder, 'survivor = "stop"', f"grace = '{grace}s'", more, launch=launch)
    world.file.write_text(world.file.read_text().replace("[master]\n", f"[master]\n{budget}"))
    async with world.killed("u"):
        (hung,) = starts(folder)
    os.kill(hung, signal.SIGSTOP)
    async with world.master() as master:
        assert lives(hung)
        await master.client(Kinds, unit="v").unary(Ask(), timeout=60)
        assert lives(hung) == (not budget)
        # Who leaves sees its end through.
        with suppress(ProcessLookupError):
            os.kill(hung, signal.SIGCONT)


async def test_a_leftover_that_hangs_holds_up_its_group_when_its_unit_is_gone(folder: Path) -> None:
    launch = app(folder, before=SEES + COUNT)
    world = World(
        folder,
        'groups = ["gpu"]',
        "grace = '3s'",
        "[groups.gpu]",
        "exclusive = true",
        launch=launch,
    )
    async with world.killed("u"):
        (hung,) = starts(folder)
    os.kill(hung, signal.SIGSTOP)
    world.file.write_text(world.file.read_text().replace("[units.u]", "[units.renamed]"))
    async with world.master() as master:
        assert lives(hung)
        await master.client(Kinds).unary(Ask(), timeout=60)
        assert not lives(hung)
    assert ["", ""] == (folder / "beside").read_text().splitlines()
