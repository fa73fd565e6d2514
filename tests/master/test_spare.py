"""Starts that take what was forked ahead of need, and what befalls it before."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from hsu_worker.errors import RpcError
from hsu_worker.master import template as templates
from hsu_worker.master.keeper.processes import LINUX, process_line
from tests.gen.hsu_test_kinds import Ask
from tests.master.kept import BOUND, keeper_pid, keeper_pids, lives, lose_keeper
from tests.master.running import app, processes_in, running, text
from tests.master.test_death import dies_with_its_master, keepers_of, master
from tests.master.test_fork import PID, children_of, forked, template_pid
from tests.until import until

pytestmark = pytest.mark.skipif(not LINUX, reason="forks are used on Linux only")

PATIENCE: Final = 60


async def spare_pid(keeper: int = 0) -> int:
    """The one that waits."""
    await until(lambda: keeper or keeper_pids())
    keeper = keeper or keeper_pid()
    await until(lambda: children_of(keeper, "hsu_worker.worker.spare"))
    (found,) = children_of(keeper, "hsu_worker.worker.spare")
    return found


async def test_each_start_takes_the_spare(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, PID))) as it:
        for _ in range(2):
            spare = await spare_pid()
            assert str(spare) == (await it.kinds.unary(Ask(), timeout=PATIENCE)).text
            assert f"pid {spare}, forked" == forked(it)[-1]
            await it.master.stop("u")


async def test_how_a_spare_ended_is_known_once_it_was_taken(tmp_path: Path) -> None:
    body = "async def unary(self, request):\n    os._exit(7)"
    async with running(tmp_path, text(app(tmp_path, body))) as it:
        spare = await spare_pid()
        await it.master.start("u")
        line = process_line(spare)
        assert line is not None
        assert (keeper_pid(), spare, spare) == (line.parent, line.group, line.session)
        with pytest.raises(RpcError):
            await it.kinds.unary(Ask(), timeout=PATIENCE)
        exited = await it.event("exited")

        assert exited.crash is not None
        assert 7 == exited.crash.code
        assert exited.crash.peak_memory > 1 << 20


LOST: Final[dict[str, Callable[[int, int], None]]] = {
    "the spare is killed": lambda spare, _: os.kill(spare, signal.SIGKILL),
    "the spare is stopped": lambda spare, _: None,
    "the template is killed": lambda _, template: os.kill(template, signal.SIGKILL),
    "the template is stopped": lambda _, template: os.kill(template, signal.SIGSTOP),
}


@pytest.mark.parametrize("how", LOST)
async def test_what_is_lost_while_a_start_takes_it_loses_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    # Longer than a template waits for its spare, and than the next one imports.
    monkeypatch.setattr(templates, "_BOUND", 5.0)
    async with running(tmp_path, text(app(tmp_path, PID))) as it:
        spare, template = await spare_pid(), await template_pid()
        os.kill(spare, signal.SIGSTOP)
        call = asyncio.create_task(it.kinds.unary(Ask(), timeout=PATIENCE))
        # What came with the request is on its way to the spare, and held by nobody else.
        asked = len(os.listdir(f"/proc/{template}/fd"))
        await until(lambda: call.done() or len(os.listdir(f"/proc/{template}/fd")) > asked)
        LOST[how](spare, template)

        pid = int((await call).text)
        assert spare != pid
        assert [pid] == processes_in(tmp_path)
        assert f"pid {pid}, forked" == forked(it)[-1]
        await until(lambda: not lives(spare), within=BOUND)
        # With its spare alone nothing of it is lost.
        assert ("the spare" in how) == lives(template)
    assert not processes_in(tmp_path)


async def test_a_spare_that_was_killed_is_missed_by_no_start(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, PID))) as it:
        spare, template = await spare_pid(), await template_pid()
        os.kill(spare, signal.SIGKILL)
        # Its first thread may have ended while others still hold its socket.
        await until(lambda: not Path(f"/proc/{spare}").exists())
        pid = int((await it.kinds.unary(Ask(), timeout=PATIENCE)).text)

        assert f"pid {pid}, forked" == forked(it)[-1]
        assert spare not in (pid, await spare_pid())
        assert template == await template_pid()


async def test_a_killed_keeper_takes_the_spare_along(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, PID))) as it:
        await it.master.start("u")
        spare = await spare_pid()
        await lose_keeper()

        await until(lambda: not lives(spare), within=BOUND)


async def test_a_killed_master_takes_the_spare_along(tmp_path: Path) -> None:
    async with master(tmp_path, text(app(tmp_path))) as process:
        assert process.stdout
        assert b"started\n" == await asyncio.wait_for(process.stdout.readline(), PATIENCE)
        (keeper,) = keepers_of(process.pid)
        spare = await spare_pid(keeper)
        await dies_with_its_master(process, tmp_path)

        assert not lives(spare)
