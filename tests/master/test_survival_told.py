"""What `hsu-worker why` tells of workers that have outlived a master."""

import os
import re
import signal
from pathlib import Path

from hsu_worker.cli._sentences import about
from hsu_worker.master import Master
from hsu_worker.master.process_stat import age
from hsu_worker.master.survivors import Record
from tests.master.running import starts
from tests.master.test_survival import World, folder, lives
from tests.until import until

__all__ = ["folder"]


def told(master: Master) -> list[str]:
    """The sentences of `u`, without times."""
    sentences = (about(event)[21:] for event in master.why("u"))
    return [re.sub(r"after \d+\.\d\d s", "after N s", each) for each in sentences]


async def test_an_adoption_is_told_as_one(folder: Path) -> None:
    world = World(folder, "preload = true")
    async with world.killed("u"):
        (pid,) = starts(folder)
    async with world.master() as master:
        assert [
            "Generation 1 is adopted: an earlier master has left its worker",
            f"Generation 1 is ready, after N s: pid {pid}, adopted",
        ] == told(master)


async def test_of_one_that_nobody_saw_end_no_lifetime_is_made_up(folder: Path) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not lives(pid))
    async with world.master() as master:
        await until(lambda: "failed" in [event.kind for event in master.why("u")])
        started, failed = told(master)[:2]
    assert "Generation 1 is adopted: an earlier master has left its worker" == started
    assert failed.startswith(
        "Generation 1 could not be adopted: it ended while no master ran, with exit code unknown: "
        f"its process, pid {pid}, is no longer there"
    )
    assert "lived" not in failed


async def test_an_adopted_worker_has_lived_since_its_launch(folder: Path) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    (record,) = world.records
    async with world.master() as master:
        before = age(Record(**record).start)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: master.status()["u"].phase == "absent")
        (ended,) = [event for event in world.told if event.kind == "exited"]
    assert ended.crash
    assert before <= ended.crash.uptime
