"""Faults of stops, with true processes: those who won't go, and what is left of those who did."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from hsu_worker.master.keeper.processes import live_processes, process_line
from hsu_worker.master.logs import LogLine
from tests.gen.hsu_test_kinds import Ask
from tests.master.kept import keeper_pid
from tests.master.running import Running, app, processes_in, running, text
from tests.master.test_faults_starts import units
from tests.master.test_fork import children_of
from tests.master.test_keeper_limits import left_behind
from tests.sequences import assert_same
from tests.until import until

#: Hears no SIGTERM, and doesn't get further than this when it is told to leave.
STAYS = """@lifespan
async def model(self):
    import signal
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    Path('asked').touch()
    time.sleep(1000)"""

#: Leaves a child that is in a session of its own.
ESCAPES = """async def unary(self, request):
    import subprocess
    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
    return Answer(number=child.pid)"""

#: Says a numbered line for each call, and its pid.
SAYS = """async def unary(self, request):
    for number in range(request.number):
        print(f'{request.text}.{number}', flush=True)
    return Answer(number=os.getpid())"""


@pytest.mark.parametrize("asked", [True, False], ids=["leaving", "stopped"])
async def test_t19_a_worker_that_will_not_go_is_killed_at_its_grace(
    tmp_path: Path, asked: bool
) -> None:
    toml = text(app(tmp_path, STAYS), 'grace = "1s"', 'drain = "0s"')
    loop = asyncio.get_running_loop()
    async with running(tmp_path, toml) as it:
        await it.master.start("u")
        (worker,) = processes_in(tmp_path)
        if not asked:
            os.kill(worker, signal.SIGSTOP)
        began = loop.time()
        await it.master.stop("u")
        took = loop.time() - began
        stopped = await it.event("stopped")
        assert [] == processes_in(tmp_path)

    assert asked == (tmp_path / "asked").exists()
    assert "killed by SIGKILL" == stopped.detail
    assert 1.0 <= took < 2.0, "grace, and a second more"


async def test_t21_a_grandchild_in_a_session_of_its_own_ends_with_its_worker(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, text(app(tmp_path, ESCAPES))) as it:
        child = (await it.kinds.unary(Ask(), timeout=30)).number
        assert child in processes_in(tmp_path)
        # Three more are left when the worker is killed.
        await asyncio.gather(*(it.kinds.unary(Ask(), timeout=30) for _ in range(3)))
        assert 5 == len(processes_in(tmp_path))
        await it.master.stop("u")
        assert [] == processes_in(tmp_path)


async def told(it: Running, after: int, last: str) -> list[LogLine]:
    """The lines after a number, up to one, as a follower that comes now is told them."""
    lines: list[LogLine] = []
    follower = it.master.follow_log("u", after=after)
    async with asyncio.timeout(20):
        async for batch in follower:
            assert 0 == batch.dropped
            lines += batch.lines
            # What the worker's records say may come in between.
            if any(line.text == last for line in batch.lines):
                break
    await follower.aclose()
    return lines


async def test_t38_a_log_is_followed_across_generations_and_followers(tmp_path: Path) -> None:
    lines: list[LogLine] = []
    async with running(tmp_path, text(app(tmp_path, SAYS))) as it:
        for generation in (1, 2, 3):
            # It follows while they are printed; the next one goes on where it stopped.
            following = asyncio.create_task(
                told(it, lines[-1].sequence if lines else 0, f"{generation}.199")
            )
            await it.kinds.unary(Ask(text=str(generation), number=200), timeout=30)
            lines += await following
            await it.kinds.unary(Ask(text=f"{generation}.end", number=1), timeout=30)
            await it.master.restart("u")
        lines += await told(it, lines[-1].sequence, "3.end.0")

    assert_same(range(1, len(lines) + 1), [line.sequence for line in lines])
    said = [(line.generation, line.text) for line in lines if line.source == "stdout"]
    expected = [
        (generation, f"{generation}.{number}")
        for generation in (1, 2, 3)
        for number in (*range(200), "end.0")
    ]
    assert_same(expected, said)


async def test_t45_starts_and_stops_of_several_units_leave_nothing_behind(tmp_path: Path) -> None:
    await leave_nothing_behind(tmp_path, count=20, cycles=4)


async def test_a_crowd_that_stops_together_breaks_no_connection(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = [f"u{number}" for number in range(40)]
    async with running(tmp_path, units(**dict.fromkeys(names, app(tmp_path, SAYS)))) as it:
        for _ in range(3):
            await asyncio.gather(*(it.master.start(unit) for unit in names))
            await asyncio.gather(*(it.master.stop(unit) for unit in names))

    # grpc writes a line for each connection that the other end broke.
    assert "" == capfd.readouterr().err


async def leave_nothing_behind(folder: Path, *, count: int, cycles: int) -> None:
    """Start and stop so many units so often, and look at what is left."""
    names = [f"u{number}" for number in range(count)]
    toml = units(**dict.fromkeys(names, app(folder, SAYS)))
    loop = asyncio.get_running_loop()
    took: list[float] = []

    async def cycle(it: Running, unit: str) -> None:
        await it.master.start(unit)
        began = loop.time()
        await it.master.stop(unit)
        took.append(loop.time() - began)

    async with running(folder, toml) as it:
        await asyncio.gather(*(cycle(it, unit) for unit in names))
        owner = keeper_pid()
        # The next fork is made ahead of need, and stays.
        await until(lambda: children_of(owner, "hsu_worker.worker.spare"))
        before, tasks = left_behind(os.getpid(), owner), len(asyncio.all_tasks())
        for _ in range(cycles):
            await asyncio.gather(*(cycle(it, unit) for unit in names))
        await until(lambda: children_of(owner, "hsu_worker.worker.spare"))
        assert before == left_behind(os.getpid(), owner)
        assert tasks == len(asyncio.all_tasks())
        assert [] == processes_in(folder)
        generations = [status.generation for status in it.master.status().values()]
        assert [cycles + 1] * count == generations
        # Nobody had to be killed.
        assert {"exit code 0"} == {event.detail for event in it.told if event.kind == "stopped"}
    assert process_line(owner) is None
    assert not [line for line in live_processes() if line.parent == owner]

    # 0.13 s were measured; one that is not asked in the right way takes its grace of 10 s.
    assert max(took) < 5.0
