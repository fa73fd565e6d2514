"""A warm stop of true processes."""

import os
import signal
from pathlib import Path

import pytest

from hsu_worker.master.policy import Phase
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import Running, app, count_starts, running, starts, text
from tests.until import until

#: Notes each time that its lifespan is entered and left; a file has it fail or hang.
BODY = """@lifespan
def held(self):
    if Path('no-start').exists():
        raise RuntimeError('no memory')
    while Path('slow-start').exists():
        time.sleep(0.01)
    with open('lifespans', 'a') as file:
        file.write('+')
    yield
    while Path('slow-stop').exists():
        time.sleep(0.01)
    with open('lifespans', 'a') as file:
        file.write('-')
async def unary(self, request):
    return Answer(number=os.getpid())"""

#: Longer than any of these tests.
WARM = 'warm = "100s"'


def service(folder: Path, *more: str) -> str:
    return text(app(folder, BODY, before=count_starts(folder)), 'idle = "50ms"', *more)


async def pid_of(it: Running) -> int:
    return (await it.kinds.unary(Ask(), timeout=20)).number


def phase(it: Running) -> Phase:
    return it.master.status()["u"].phase


def lifespans(folder: Path) -> str:
    return (folder / "lifespans").read_text()


async def test_a_process_without_its_lifespans_stays_and_serves_again(tmp_path: Path) -> None:
    async with running(tmp_path, service(tmp_path, WARM)) as it:
        pid = await pid_of(it)
        warm = await it.event("warm")
        assert ("idle", "not called for 0.05 s") == (warm.trigger, warm.detail)
        assert ("+-", Phase.WARM) == (lifespans(tmp_path), phase(it))
        assert pid == it.master.status()["u"].pid
        assert pid == await pid_of(it)
        assert "+-+" == lifespans(tmp_path)
        assert [pid] == starts(tmp_path)
        assert 1 == it.master.status()["u"].generation


async def test_one_that_still_leaves_its_lifespans_is_not_called_warm(tmp_path: Path) -> None:
    async with running(tmp_path, service(tmp_path, WARM)) as it:
        (tmp_path / "slow-stop").touch()
        await pid_of(it)
        await until(lambda: phase(it) is not Phase.READY)
        assert Phase.STOPPING is phase(it)
        (tmp_path / "slow-stop").unlink()
        await it.event("warm")
        assert ("+-", Phase.WARM) == (lifespans(tmp_path), phase(it))


async def test_after_the_second_time_the_process_ends(tmp_path: Path) -> None:
    async with running(tmp_path, service(tmp_path, 'warm = "100ms"')) as it:
        pid = await pid_of(it)
        await it.event("warm")
        stopping = await it.event("stopping")
        assert "not called for 0.1 s after its warm stop" == stopping.detail
        await it.event("stopped")
        assert pid != await pid_of(it)


async def test_t52_a_warm_process_that_is_killed_is_noticed(tmp_path: Path) -> None:
    async with running(tmp_path, service(tmp_path, WARM)) as it:
        pid = await pid_of(it)
        await it.event("warm")
        os.kill(pid, signal.SIGKILL)
        crash = (await it.event("exited")).crash
        assert crash is not None
        assert (signal.SIGKILL, 0) == (crash.signal, crash.calls)
        assert pid != await pid_of(it)


@pytest.mark.parametrize("what", ["no-start", "slow-start"])
async def test_t52_a_warm_start_that_fails_or_hangs_is_made_in_a_new_process(
    tmp_path: Path, what: str
) -> None:
    async with running(tmp_path, service(tmp_path, WARM, 'stall = "1s"', 'grace = "200ms"')) as it:
        pid = await pid_of(it)
        await it.event("warm")
        fault = tmp_path / what
        fault.touch()
        call = pid_of(it)
        it.on_event = lambda event: fault.unlink() if event.kind == "failed" else None
        assert pid != await call
        failed = next(event for event in it.told if event.kind == "failed")
        expected = "no memory" if what == "no-start" else "no progress of its start for 1 s"
        assert expected in failed.detail
        assert 2 == it.master.status()["u"].generation


async def test_t52_a_warm_stop_that_hangs_ends_the_process(tmp_path: Path) -> None:
    async with running(tmp_path, service(tmp_path, WARM, 'grace = "500ms"')) as it:
        (tmp_path / "slow-stop").touch()
        pid = await pid_of(it)
        stopping = await it.event("stopping")
        expected = "its lifespans were not left within 0.5 s; raise its `grace`"
        assert ("idle", expected) == (stopping.trigger, stopping.detail)
        (tmp_path / "slow-stop").unlink()
        assert pid != await pid_of(it)


async def test_a_warm_process_ends_with_its_master(tmp_path: Path) -> None:
    async with running(tmp_path, service(tmp_path, WARM)) as it:
        pid = await pid_of(it)
        await it.event("warm")
    await until(lambda: not Path(f"/proc/{pid}").exists())
