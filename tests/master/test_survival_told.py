"""What `hsu-worker why` tells of workers that have outlived a master."""

import os
import re
import signal
from pathlib import Path

import pytest

from hsu_worker.cli._sentences import about
from hsu_worker.master import Master
from hsu_worker.master.process_stat import age
from hsu_worker.master.survivors import Record
from tests.master.running import starts
from tests.master.test_survival import World, folder, lives
from tests.until import until

__all__ = ["folder"]


def sentences(master: Master) -> list[str]:
    """The sentences of `u`, without times."""
    texts = (about(event)[21:] for event in master.why("u"))
    return [re.sub(r"after \d+\.\d\d s", "after N s", each) for each in texts]


async def test_an_adoption_is_told_as_one(folder: Path) -> None:
    world = World(folder, "preload = true")
    async with world.killed("u"):
        (pid,) = starts(folder)
    async with world.master() as master:
        assert [
            "Generation 1 is adopted: an earlier master has left its worker",
            f"Generation 1 is ready, after N s: pid {pid}, adopted",
        ] == sentences(master)


async def test_of_one_that_nobody_saw_end_no_lifetime_is_made_up(folder: Path) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not lives(pid))
    async with world.master() as master:
        await until(lambda: "failed" in [event.kind for event in master.why("u")])
        started, failed = sentences(master)[:2]
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


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("", "its end had begun"),
        ('survivor = "stop"', 'survivor = "stop"'),
        ('env_file = "env"', "its table has changed"),
    ],
)
async def test_of_what_is_not_adopted_it_is_told_why(folder: Path, more: str, why: str) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    (folder / "env").touch(0o600)
    world.forge(ending=not more)
    world.file.write_text(f"{world.file.read_text()}\n{more}\n")
    async with world.master() as master:
        assert not lives(pid)
        expected = f"What an earlier master left is not adopted: {why}; its end: exit code unknown"
        assert [expected] == sentences(master)
        assert [("stopped", "leftover")] == world.story()


async def test_nothing_is_told_of_a_leftover_whose_unit_is_gone(folder: Path) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    world.file.write_text(world.file.read_text().replace("units.u", "units.other"))
    async with world.master() as master:
        assert not lives(pid)
        assert ([], []) == (world.told, master.why("other"))


async def test_t25_a_record_that_others_can_open_stays_until_that_is_corrected(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    path = world.record
    assert (0o600, 0o700) == tuple(each.stat().st_mode & 0o777 for each in (path, path.parent))
    path.chmod(0o644)
    async with world.master() as master:
        (told,) = [text for text in caplog.messages if str(path) in text]
        assert told == (
            f"{path}: other users can open it; run: chmod 600 {path}; nothing of it is adopted, "
            "signalled or removed, and it is read again when the master is started again; its worker "
            f"of unit 'u', pid {pid}, still runs, and is left alone: end it with: kill {pid}"
        )
        assert (True, []) == (lives(pid), master.why("u"))
    path.chmod(0o600)
    async with world.master() as master:
        assert pid == master.status()["u"].pid


async def test_t25_a_record_that_is_cut_off_names_its_unit_and_a_worker_that_has_ended_is_not_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    path = world.record
    path.write_text(path.read_text()[:60])
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not lives(pid))
    async with world.master():
        (told,) = [text for text in caplog.messages if str(path) in text]
    assert told.endswith(
        f"it is kept as {path.stem}.damaged; no worker of unit 'u' that writes its output was found"
    )
