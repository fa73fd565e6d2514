"""`serve --reload`: a worker that starts anew when its code has changed."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hsu_worker.errors import Unavailable
from hsu_worker.gen.hsu_core import Core, ShutdownRequest
from hsu_worker.wire.address import Address
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import count_starts, processes_in, starts
from tests.until import until
from tests.worker.process import connected, served_at, serving, write_service

SAYS = "async def unary(self, request):\n    return Answer(text={text!r})\n"

WAITS = """
async def unary(self, request):
    Path("called").touch()
    while not Path("go").exists():
        await asyncio.sleep(0.002)
    return Answer(text="done")
"""


def write(folder: Path, text: str = "", *, body: str = "", before: str = "") -> str:
    """The service, which notes each start and says a text."""
    return write_service(
        folder, body or SAYS.format(text=text), before=f"{count_starts(folder)}\n{before}"
    )


@asynccontextmanager
async def reloading(folder: Path, target: str, *arguments: str) -> AsyncGenerator[Process, None]:
    """Serve it; nothing of it is there after the block."""
    async with serving(folder, target, "--reload", *arguments) as process:
        yield process
    await until(lambda: not processes_in(folder))


async def says(address: Address) -> str:
    async with connected(address) as connection:
        return (await Kinds.client(connection).unary(Ask(), timeout=20)).text


async def line_with(process: Process, found: str) -> str:
    """The lines of stderr up to one that holds a text."""
    assert process.stderr
    lines = ""
    async with asyncio.timeout(20):
        while line := (await process.stderr.readline()).decode():
            lines += line
            if found in line:
                return lines
    raise AssertionError(f"it ended without a word of {found!r}:\n{lines}")


@pytest.mark.parametrize("listen", ["tcp:127.0.0.1:0", "unix:{}/s"])
async def test_new_code_answers_at_the_same_address(tmp_path: Path, listen: str) -> None:
    target = write(tmp_path, "old")
    async with reloading(tmp_path, target, "--listen", listen.format(tmp_path)) as process:
        address = await served_at(process)
        assert "old" == await says(address)
        # Of the same length, and within the same second, most likely.
        write(tmp_path, "new")
        assert address == await served_at(process)
        assert "new" == await says(address)

    assert 2 == len(starts(tmp_path))


async def test_the_next_one_is_started_when_the_last_one_has_answered_and_gone(
    tmp_path: Path,
) -> None:
    target = write(tmp_path, body=WAITS)
    async with reloading(tmp_path, target) as process:
        address = await served_at(process)
        call = asyncio.create_task(says(address))
        await until((tmp_path / "called").exists)
        [first] = starts(tmp_path)
        write(tmp_path, "new")
        await line_with(process, "leaving: its code has changed")
        # Further changes meanwhile are not further starts.
        for number in range(5):
            write(tmp_path, f"new {number}")
        assert [first] == starts(tmp_path)
        assert first in processes_in(tmp_path)
        (tmp_path / "go").touch()
        assert "done" == await call
        assert address == await served_at(process)
        assert "new 4" == await says(address)
        assert first not in processes_in(tmp_path)

    assert 2 == len(starts(tmp_path))


async def test_what_is_wrong_is_shown_and_waited_out(tmp_path: Path) -> None:
    lifespan = "@lifespan\ndef loaded(self):\n    raise FileNotFoundError('no model')\n    yield"
    crash = "async def unary(self, request):\n    os._exit(7)\n"
    # From the first moment on.
    async with reloading(tmp_path, write(tmp_path, before="1 / 0")) as process:
        shown = await line_with(process, "waiting for a change")
        assert shown.startswith(
            f'Traceback (most recent call last):\n  File "{tmp_path}/mysvc.py", line '
        )
        assert "ZeroDivisionError: division by zero\n'mysvc:Service' could not be lo" in shown
        # Nothing of ours stands between the user and the error.
        assert "hsu_worker/worker" not in shown

        write(tmp_path, before="def (:")
        shown = await line_with(process, "waiting for a change")
        assert f'  File "{tmp_path}/mysvc.py", line ' in shown
        assert "SyntaxError: invalid syntax\n'mysvc:Service' could not be loaded\n" in shown
        assert "Traceback" not in shown

        write(tmp_path, body=lifespan)
        shown = await line_with(process, "waiting for a change")
        assert "'mysvc:Service' could not start: FileNotFoundError: no model\n" in shown

        write(tmp_path, body=crash)
        address = await served_at(process)
        call = asyncio.create_task(says(address))
        await line_with(process, "the worker has ended with exit code 7; waiting for a change")
        await asyncio.wait((call,))
        assert call.exception() is not None

        write(tmp_path, "mended")
        assert address == await served_at(process)
        assert "mended" == await says(address)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_everything_in_order(tmp_path: Path, number: signal.Signals) -> None:
    target = write(tmp_path, body=WAITS)
    async with reloading(tmp_path, target) as process:
        call = asyncio.create_task(says(await served_at(process)))
        await until((tmp_path / "called").exists)
        process.send_signal(number)
        await line_with(process, "leaving: its reloader leaves")
        (tmp_path / "go").touch()
        assert "done" == await call
        assert 0 == await asyncio.wait_for(process.wait(), 20)
        assert [] == processes_in(tmp_path)


async def test_a_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    target = write(tmp_path, body=WAITS)
    async with reloading(tmp_path, target) as process:
        call = asyncio.create_task(says(await served_at(process)))
        await until((tmp_path / "called").exists)
        process.send_signal(signal.SIGTERM)
        await line_with(process, "leaving: its reloader leaves")
        process.send_signal(signal.SIGTERM)
        assert 143 == await asyncio.wait_for(process.wait(), 20)
        assert [] == processes_in(tmp_path)
        await asyncio.wait((call,))
        assert call.exception() is not None


async def test_a_second_signal_that_only_the_worker_has_heard_is_one(tmp_path: Path) -> None:
    # To a busy reloader two that come at once are one.
    target = write(tmp_path, body=WAITS)
    async with reloading(tmp_path, target) as process:
        call = asyncio.create_task(says(await served_at(process)))
        await until((tmp_path / "called").exists)
        [worker] = starts(tmp_path)
        process.send_signal(signal.SIGINT)
        await line_with(process, "leaving: its reloader leaves")
        os.kill(worker, signal.SIGINT)
        await line_with(process, "leaving: SIGINT")
        os.kill(worker, signal.SIGINT)
        assert 130 == await asyncio.wait_for(process.wait(), 20)
        with pytest.raises(Unavailable):
            await call


async def test_a_killed_reloader_leaves_no_worker_behind(tmp_path: Path) -> None:
    async with reloading(tmp_path, write(tmp_path)) as process:
        await served_at(process)
        assert 2 == len(processes_in(tmp_path))
        process.kill()
        await until(lambda: not processes_in(tmp_path))


async def test_a_worker_that_is_shut_down_takes_the_reloader_with_it(tmp_path: Path) -> None:
    target, listen = write(tmp_path), f"unix:{tmp_path}/s"
    async with reloading(tmp_path, target, "--listen", listen) as process:
        async with connected(await served_at(process)) as connection:
            await Core.client(connection).shutdown(ShutdownRequest())
        assert 0 == await asyncio.wait_for(process.wait(), 20)


async def test_an_address_in_use_is_no_error_of_the_code(tmp_path: Path) -> None:
    target = write(tmp_path)
    async with (
        serving(tmp_path, target) as first,
        reloading(tmp_path, target, "--listen", str(await served_at(first))) as process,
    ):
        assert 3 == await asyncio.wait_for(process.wait(), 20)
        assert process.stderr
        errors = (await process.stderr.read()).decode()
        first.kill()

    assert "in use by another server; choose another port, or 0 for any free one\n" in errors


async def test_other_files_and_folders_count_when_somebody_says_so(tmp_path: Path) -> None:
    target = write(tmp_path)
    (tmp_path / "more").mkdir()
    arguments = ("--reload-dir", "more", "--reload-include", "*.txt")
    async with reloading(tmp_path, target, *arguments) as process:
        await served_at(process)
        # Neither in a folder that is watched, nor of a kind that counts.
        write(tmp_path)
        (tmp_path / "more" / "data.csv").touch()
        for name in ("words.txt", "code.py"):
            (tmp_path / "more" / name).touch()
            told = await line_with(process, "is started anew")
            assert told.endswith(f"more/{name} has changed; the worker is started anew\n")
            await served_at(process)

    assert 3 == len(starts(tmp_path))


async def test_without_watchfiles_it_says_what_to_install(tmp_path: Path) -> None:
    target = write(tmp_path)
    (tmp_path / "watchfiles.py").write_text("raise ImportError\n")
    async with serving(tmp_path, target, "--reload") as process:
        _, errors = await process.communicate()

    assert 3 == process.returncode
    assert errors == b"Error: --reload needs watchfiles: pip install 'hsu-worker[reload]'\n"
