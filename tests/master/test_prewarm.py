"""Workers that stand by: taken by starts, replaced after them, and gone when nobody wants them."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from hsu_worker.master import standbys
from hsu_worker.master.keeper.processes import LINUX
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import (
    Running,
    app,
    count_starts,
    processes_in,
    running,
    starts,
    text,
)
from tests.until import until
from tests.worker.process import write_service

PID = "async def unary(self, request):\n    return Answer(text=str(os.getpid()))"
LIFESPAN = """
@lifespan
def lived(self):
    Path(f'lived-{os.getpid()}').touch()
    yield
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standbys, "REFILL_AFTER", 0.0)


def stood_by(it: Running) -> list[int]:
    """The processes that stand by for the unit."""
    assert it.master._launchers is not None
    return [each.pid for each in it.master._launchers._standbys["u"]._ready if each.pid]


async def standing_by(
    it: Running, *, count: int = 1, not_among: set[int] | None = None
) -> list[int]:
    """Wait until so many stand by."""

    def others() -> list[int]:
        return [pid for pid in stood_by(it) if pid not in (not_among or ())]

    await until(lambda: len(others()) == count)
    return others()


async def call(it: Running) -> int:
    return int((await it.kinds.unary(Ask(), timeout=30)).text)


@pytest.mark.parametrize("launcher", ["fork", "spawn"])
async def test_a_start_takes_what_stands_by_and_another_one_comes(
    tmp_path: Path, launcher: str
) -> None:
    toml = text(app(tmp_path, PID + LIFESPAN), "prewarm = 1", f'launcher = "{launcher}"')
    async with running(tmp_path, toml) as it:
        [first] = await standing_by(it)
        assert not (tmp_path / f"lived-{first}").exists()

        assert first == await call(it)
        assert (tmp_path / f"lived-{first}").exists()
        [second] = await standing_by(it, not_among={first})
        assert {first, second} == set(processes_in(tmp_path))
        os.kill(first, signal.SIGKILL)
        await it.event("exited")

        assert second == await call(it)
    assert not processes_in(tmp_path)


async def test_a_command_stands_by_too(tmp_path: Path) -> None:
    target = write_service(tmp_path, PID)
    command = f'command = ["{sys.executable}", "-m", "hsu_worker.worker", "{target}"]'
    async with running(tmp_path, text(command, "prewarm = 2")) as it:
        pids = await standing_by(it, count=2)

        assert await call(it) in pids


async def test_what_it_said_is_in_the_log_of_the_generation_that_it_became(tmp_path: Path) -> None:
    before = "print('imported', os.getpid())"
    async with running(tmp_path, text(app(tmp_path, PID, before=before), "prewarm = 1")) as it:
        await standing_by(it)
        assert not it.master.log("u")
        pid = await call(it)

        [said] = [line for line in it.master.log("u") if line.source == "stdout"]
        assert (1, f"imported {pid}") == (said.generation, said.text)


async def test_one_that_ends_is_removed_and_the_next_start_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standbys, "REPLACE_AFTER", 60.0)
    async with running(tmp_path, text(app(tmp_path, PID), "prewarm = 1")) as it:
        [first] = await standing_by(it)
        os.kill(first, signal.SIGKILL)
        await until(lambda: not stood_by(it))

        second = await call(it)
        assert second != first
        await standing_by(it)
    assert not processes_in(tmp_path)


async def test_those_that_end_are_replaced_more_and_more_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(standbys, "REPLACE_AFTER", 0.01)
    monkeypatch.setattr(standbys, "REPLACE_MOST", 0.03)

    async def said(count: int) -> None:
        await until(lambda: len(caplog.messages) == count)

    async with running(tmp_path, text(app(tmp_path, PID), "prewarm = 2")) as it:
        for count in range(1, 5):
            first, _ = await standing_by(it, count=2)
            if count == 4:
                # A start says that all is well.
                served = await call(it)
                first, _ = await standing_by(it, count=2, not_among={served})
            os.kill(first, signal.SIGKILL)
            await said(count)
    told = "unit 'u': what stood by has ended; the next one follows in {} s"
    assert [told.format(after) for after in (0.01, 0.02, 0.03, 0.01)] == caplog.messages


async def test_one_that_can_not_be_launched_is_told_and_not_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = f"{count_starts(tmp_path)}\nif not Path('mended').exists(): sys.exit('not yet')"
    async with running(tmp_path, text(app(tmp_path, PID, before=before), "prewarm = 1")) as it:
        await until(lambda: caplog.messages)
        (tmp_path / "mended").touch()

        pid = await call(it)
        [second] = await standing_by(it)
        assert [pid, second] == starts(tmp_path)[1:]
    assert caplog.messages[0].startswith("nothing stands by: unit 'u' did not start: command ")
    assert caplog.messages[0].endswith("\n    not yet")


@pytest.mark.parametrize("how", ["stop", "hold", "restart", "swap"])
async def test_what_stood_by_is_older_than_what_an_operator_wants(tmp_path: Path, how: str) -> None:
    async with running(tmp_path, text(app(tmp_path, PID), "prewarm = 1")) as it:
        first = await call(it)
        [second] = await standing_by(it, not_among={first})
        match how:
            case "stop" | "hold":
                await it.master.stop("u", hold=how == "hold")
            case "restart":
                await it.master.restart("u")
            case "swap":
                await it.master.swap("u")
        await until(lambda: not {first, second} & set(processes_in(tmp_path)))
        if how in ("stop", "hold"):
            assert not stood_by(it)
            await it.master.start("u")

        third = await call(it)
        [fourth] = await standing_by(it)
        assert 4 == len({first, second, third, fourth})


async def test_a_swap_to_another_app_lets_that_one_stand_by(tmp_path: Path) -> None:
    toml = text(app(tmp_path, PID), "prewarm = 1")
    source = (tmp_path / "mysvc.py").read_text()
    (tmp_path / "other.py").write_text(source.replace("str(os.getpid())", "f'-{os.getpid()}'"))
    async with running(tmp_path, toml) as it:
        await call(it)
        await standing_by(it)
        await it.master.swap("u", app="other:Service")
        served = -await call(it)
        [standby] = await standing_by(it, not_among={served})
        os.kill(served, signal.SIGKILL)
        await it.event("exited")

        assert -standby == await call(it)


async def test_a_master_that_leaves_ends_what_is_being_launched(tmp_path: Path) -> None:
    before = f"{count_starts(tmp_path)}\nthreading.Event().wait()"
    async with running(tmp_path, text(app(tmp_path, before=before), "prewarm = 3")):
        await until(lambda: (tmp_path / "starts").exists() and len(starts(tmp_path)) == 3)
        left = asyncio.get_running_loop().time()
    # Each is killed at once: none has said that it can be asked.
    assert asyncio.get_running_loop().time() - left < 10
    assert not processes_in(tmp_path)


@pytest.mark.skipif(not LINUX, reason="forks are used on Linux only")
async def test_it_leaves_no_socket_and_no_token_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standbys, "REPLACE_AFTER", 60.0)
    async with running(tmp_path, text(app(tmp_path, PID), "prewarm = 1")) as it:
        folder = it.master.address.path if it.master.address else ""
        [first] = await standing_by(it)
        sockets = len(list(Path(folder).parent.glob("u-*.sock")))
        known = len(it.master._tokens._issued)
        os.kill(first, signal.SIGKILL)
        await until(lambda: not stood_by(it))
        await until(lambda: not list(Path(folder).parent.glob("u-*.sock")))

        assert 1 == sockets
        assert known - 1 == len(it.master._tokens._issued)


async def test_what_stands_by_becomes_whichever_replica_is_needed(tmp_path: Path) -> None:
    body = (
        "async def unary(self, request):\n"
        "    while request.number and not Path('go').exists():\n"
        "        await asyncio.sleep(0.01)\n"
        "    return Answer(text=str(os.getpid()))"
    )
    toml = text(app(tmp_path, body), "prewarm = 1", "concurrency = 1", "replicas = 2")
    async with running(tmp_path, toml) as it:
        [first] = await standing_by(it)
        held = [asyncio.create_task(it.kinds.unary(Ask(number=1), timeout=30))]
        [second] = await standing_by(it, not_among={first})
        held.append(asyncio.create_task(it.kinds.unary(Ask(number=1), timeout=30)))
        [third] = await standing_by(it, not_among={first, second})
        (tmp_path / "go").touch()
        assert [str(first), str(second)] == [(await each).text for each in held]
        assert {first, second, third} == set(processes_in(tmp_path))
    assert not processes_in(tmp_path)
