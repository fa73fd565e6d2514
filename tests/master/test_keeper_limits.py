"""The keeper at the limits of the system, and what it leaves behind: nothing."""

import asyncio
import errno
import os
import resource
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.errors import LaunchError
from hsu_worker.master import keeper_link
from hsu_worker.master.keeper.processes import process_line
from hsu_worker.master.keeping import Keeper
from tests.master import kept
from tests.master.kept import bounded, keeper_pid, keeper_pids, lives, lose_keeper, python, start
from tests.until import until

NO_DESCRIPTORS = (
    "command 'true' could not be started: the keeper has no free file descriptors: raise the limit "
    "(`ulimit -n`)"
)


@contextmanager
def descriptors(pid: int, count: int) -> Generator[None]:
    """Leave a process no descriptor numbers from `count` on."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def first_free(pid: int) -> int:
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return min(set(range(len(used) + 1)) - used)


async def refused(keeper: Keeper) -> str:
    with pytest.raises(LaunchError) as caught:
        await start(keeper, "true")
    return str(caught.value)


async def works(keeper: Keeper) -> None:
    process = await start(keeper, "true")
    assert 0 == (await process.exited()).code
    await process.gone()


async def test_a_keeper_without_descriptors_fails_the_start_and_lives_on() -> None:
    async with Keeper() as keeper, bounded():
        await works(keeper)
        owner = keeper_pid()
        used = first_free(owner)
        # Room for none of what comes with the request, for some of it, and for too little beside it.
        for free in range(4):
            with descriptors(owner, used + free):
                assert NO_DESCRIPTORS == await refused(keeper)
            await works(keeper)
        assert owner == keeper_pid()


async def test_a_keeper_that_can_not_look_draws_no_conclusion() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.OUTLIVES_ON_TERM) as one:
        member = int(await one.line())
        owner = keeper_pid()
        with descriptors(owner, first_free(owner)):
            one.process.signal(signal.SIGTERM)
            assert "killed by SIGTERM" == str(await one.process.exited())
            gone = asyncio.create_task(one.process.gone())
            # Its answer comes after a look at what is left of the group.
            assert NO_DESCRIPTORS == await refused(keeper)

            assert lives(member)
            assert not gone.done()
        one.process.signal(signal.SIGKILL)
        await gone
        assert not lives(member)


async def test_a_keeper_that_may_not_fork_fails_the_start_and_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # RLIMIT_NPROC doesn't bind root, as whom tests may run: the first fork fails by hand.
    fork = "        environment = environment_of(request, mark)\n"
    refuses = (
        f"        if mark.endswith('/2'):\n            raise BlockingIOError({errno.EAGAIN}, '')\n"
    )
    kept.plant(monkeypatch, tmp_path, fork, refuses + fork)
    async with Keeper() as keeper, bounded():
        await works(keeper)
        owner = keeper_pid()
        expected = (
            "command 'true' could not be started: no more processes are allowed: raise the limit "
            "(`ulimit -u`, or the cgroup's `pids.max`)"
        )
        assert expected == await refused(keeper)
        await works(keeper)
        assert owner == keeper_pid()


async def test_a_master_without_descriptors_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with Keeper() as keeper, bounded():
        with monkeypatch.context() as limited:
            limited.setattr(socket, "socketpair", full)
            expected = "the keeper could not be started: [Errno 24] Too many open files"
            assert expected == await refused(keeper)
        await works(keeper)
        with monkeypatch.context() as limited:
            limited.setattr(os, "dup", full)
            expected = "the master has no free file descriptors: raise the limit (`ulimit -n`)"
            assert expected == await refused(keeper)
        await works(keeper)


async def test_a_closed_descriptor_is_the_mistake_of_the_caller() -> None:
    async with Keeper() as keeper, bounded():
        await works(keeper)
        closed, writing = os.pipe()
        os.close(closed)
        os.close(writing)
        with pytest.raises(OSError, match="Bad file descriptor"):
            await keeper.spawn(["true"], env={}, cwd="/", stdin=closed, stdout=1, stderr=2)
        await works(keeper)


async def test_too_many_descriptors_on_their_way_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper_link, "BUSY_PAUSE", 0.01)
    send_fds, failures = socket.send_fds, [errno.ETOOMANYREFS] * 2

    def sometimes(*arguments: Any) -> int:
        if failures:
            raise OSError(failures.pop(), "")
        return send_fds(*arguments)

    monkeypatch.setattr(socket, "send_fds", sometimes)
    async with Keeper() as keeper, bounded():
        await works(keeper)
    assert [] == failures


def left_behind(*pids: int) -> dict[int, tuple[int, int]]:
    """Of processes: their open descriptors, and their children, zombies among them."""
    return {
        pid: (
            len(os.listdir(f"/proc/{pid}/fd")),
            len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()),
        )
        for pid in pids
    }


async def test_a_hundred_starts_and_stops_leave_nothing_behind() -> None:
    async with Keeper() as keeper, asyncio.timeout(4 * kept.BOUND):
        await works(keeper)
        owner = keeper_pid()
        before = left_behind(os.getpid(), owner)
        tasks = len(asyncio.all_tasks())
        for number in range(100):
            async with kept.started(keeper, "sleep", "60") as one:
                one.process.signal(signal.SIGTERM if number % 2 else signal.SIGKILL)
                await one.process.exited()
                await one.process.gone()

        assert before == left_behind(os.getpid(), owner)
        assert tasks == len(asyncio.all_tasks())
    assert process_line(owner) is None


async def test_keepers_that_die_leave_nothing_behind() -> None:
    async with Keeper() as keeper, asyncio.timeout(4 * kept.BOUND):
        process = await start(keeper, "sleep", "60")
        await works(keeper)
        before = left_behind(os.getpid())
        handles = left_behind(keeper_pid())[keeper_pid()][0]
        for _ in range(4):
            await lose_keeper()
            await works(keeper)

        # A thread waits for the end of the dead one.
        await until(lambda: before == left_behind(os.getpid()))
        # It is not the parent of what it took over, for which it has one handle instead.
        assert (handles + 1, 0) == left_behind(keeper_pid())[keeper_pid()]
        process.signal(signal.SIGTERM)
        await process.gone()
        await works(keeper)
        assert (handles, 0) == left_behind(keeper_pid())[keeper_pid()]
    assert [] == keeper_pids()
