"""A keeper that dies: its processes go on, and another keeper takes them over."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from hsu_worker.errors import LaunchError
from hsu_worker.master import keeper as script
from hsu_worker.master import keeping
from hsu_worker.master.keeping import Exit, Keeper
from tests.master import kept
from tests.master.kept import bounded, keeper_pid, keeper_pids, lives, lose_keeper, python, start
from tests.until import until

UNKNOWN = Exit(None, None, 0)
DIES = "unit = self._units[number] = Unit("
"""Where a keeper has made a process, and could not yet tell anybody."""


async def test_a_worker_goes_on_and_ends_with_an_unknown_code(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stdin, lifeline = os.pipe()
    async with Keeper() as keeper, bounded(), kept.started(keeper, "cat", stdin=stdin) as one:
        os.close(stdin)
        await lose_keeper()
        exited = asyncio.create_task(one.process.exited())
        other = await start(keeper, "sh", "-c", "exit 4")

        assert 4 == (await other.exited()).code
        os.write(lifeline, b"still here\n")
        assert "still here" == await one.line()
        assert not exited.done()
        assert [
            "the keeper ended unexpectedly: another one takes over its 1 processes"
        ] == caplog.messages

        os.close(lifeline)
        assert UNKNOWN == await exited
        await one.process.gone()


async def test_a_signal_reaches_what_was_taken_over() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.SAYS_BYE) as one:
        assert "ready" == await one.line()
        await lose_keeper()
        one.process.signal(signal.SIGTERM)

        assert "bye" == await one.line()
        assert UNKNOWN == await one.process.exited()
        await one.process.gone()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_signal_that_the_dead_keeper_never_sent_is_sent(number: int) -> None:
    async with Keeper() as keeper, bounded():
        process = await start(keeper, "sleep", "60")
        os.kill(keeper_pid(), signal.SIGSTOP)
        process.signal(number)
        await lose_keeper()

        assert UNKNOWN == await process.exited()
        await process.gone()


async def test_a_signal_is_not_sent_again() -> None:
    code = (
        "import signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('term', flush=True))\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('usr1', flush=True))\n"
        "print('ready', flush=True)\nwhile True: signal.pause()"
    )
    async with Keeper() as keeper, bounded(), python(keeper, code) as one:
        assert "ready" == await one.line()
        one.process.signal(signal.SIGTERM)
        assert "term" == await one.line()
        # Its answer comes before that of a later start.
        await start(keeper, "true")
        await lose_keeper()
        one.process.signal(signal.SIGUSR1)

        assert "usr1" == await one.line()


async def test_what_left_the_group_ends_with_what_was_taken_over() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.ESCAPES) as one:
        escaped = int(await one.line())
        await lose_keeper()
        one.process.signal(signal.SIGTERM)
        await one.process.gone()

        assert not lives(escaped)


async def test_sigkill_ends_all_that_was_taken_over() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.STUBBORN) as one:
        pid = int(await one.line())
        await lose_keeper()
        one.process.signal(signal.SIGTERM)
        one.process.signal(signal.SIGKILL)
        await one.process.gone()

        assert not lives(pid)


async def test_a_group_without_its_leader_is_taken_over() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.OUTLIVES) as one:
        member = int(await one.line())
        assert 7 == (await one.process.exited()).code
        await lose_keeper()
        gone = asyncio.create_task(one.process.gone())
        await start(keeper, "true")

        assert lives(member)
        assert not gone.done()

        one.process.signal(signal.SIGTERM)
        await gone
        assert not lives(member)
        assert 7 == (await one.process.exited()).code


@pytest.mark.parametrize("code", [kept.ESCAPES, kept.STUBBORN], ids=["escapes", "stubborn"])
async def test_what_ended_without_any_keeper_is_gone_with_an_unknown_code(code: str) -> None:
    async with Keeper() as keeper, bounded(), python(keeper, code) as one:
        member = int(await one.line())
        handle = os.pidfd_open(one.process.pid)
        os.kill(keeper_pid(), signal.SIGKILL)
        os.kill(one.process.pid, signal.SIGKILL)
        # Nothing else runs here meanwhile: no keeper is started before it has ended.
        assert kept.ends(handle)
        os.close(handle)

        assert UNKNOWN == await one.process.exited()
        await one.process.gone()
        assert not lives(member)


async def test_what_is_taken_over_again_ends_as_well() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.ESCAPES) as one:
        escaped = int(await one.line())
        await lose_keeper()
        await lose_keeper()
        one.process.signal(signal.SIGTERM)
        await one.process.gone()

        assert not lives(escaped)


async def test_without_handles_the_end_is_found_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.plant(
        monkeypatch, tmp_path, "unit.handle = os.pidfd_open(unit.pid)", "raise OSError('none')"
    )
    async with Keeper() as keeper, bounded():
        process = await start(keeper, "sleep", "60")
        await lose_keeper()
        process.signal(signal.SIGTERM)

        assert UNKNOWN == await process.exited()
        await process.gone()


async def test_a_start_that_the_keeper_never_read_fails() -> None:
    async with Keeper() as keeper, bounded():
        witness = await start(keeper, "sleep", "60")
        os.kill(keeper_pid(), signal.SIGSTOP)
        starting = asyncio.create_task(start(keeper, "sleep", "60"))
        await asyncio.sleep(0)
        await lose_keeper()
        with pytest.raises(LaunchError) as caught:
            await starting
        assert "the keeper ended while it started command 'sleep': start it again" == str(
            caught.value
        )

        assert lives(witness.pid)


@pytest.mark.parametrize("cancelled", [False, True], ids=["waits", "cancelled"])
async def test_a_start_that_nobody_could_report_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    original = script.PROGRAM
    # It waits for its own end with the process alive.
    kept.plant(monkeypatch, tmp_path, DIES, "signal.pause()\n        " + DIES)
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    command = "setsid -f sh -c 'echo $$; exec sleep 60'; echo $$; exec sleep 60"
    async with Keeper() as keeper, bounded():
        starting = asyncio.create_task(
            keeper.spawn(
                ["sh", "-c", command],
                env=dict(os.environ),
                cwd="/",
                stdin=null,
                stdout=writing,
                stderr=null,
            )
        )
        await asyncio.sleep(0)
        os.close(writing)
        pids = [int(await asyncio.to_thread(kept.read_line, reading)) for _ in range(2)]
        monkeypatch.setattr(script, "PROGRAM", original)
        assert [True, True] == [lives(pid) for pid in pids]
        if cancelled:
            starting.cancel()
        os.kill(keeper_pid(), signal.SIGKILL)
        with pytest.raises(asyncio.CancelledError if cancelled else LaunchError):
            await starting

        assert [False, False] == [lives(pid) for pid in pids]
    os.close(reading)
    os.close(null)


async def test_a_keeper_that_dies_again_and_again_is_replaced_with_a_pause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "PAUSE", 0.05)
    async with Keeper() as keeper, bounded():
        process = await start(keeper, "sleep", "60")
        for _ in range(6):
            await lose_keeper()
        process.signal(signal.SIGTERM)

        assert UNKNOWN == await process.exited()
    expected = (
        "5 keepers have ended within 60 s: find out who kills them (the kernel's log names what ran out "
        "of memory)"
    )
    assert 2 == caplog.messages.count(expected)


async def test_a_keeper_that_can_not_live_fails_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.plant(monkeypatch, tmp_path, "    wakeup = own_signals()", "    os._exit(1)")
    async with Keeper() as keeper, bounded():
        with pytest.raises(LaunchError) as caught:
            await start(keeper, "true")
    assert "the keeper ended while it started command 'true': start it again" == str(caught.value)


async def test_a_takeover_is_tried_until_a_keeper_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "PAUSE", 0.02)
    async with Keeper() as keeper, bounded():
        process = await start(keeper, "sleep", "60")
        with monkeypatch.context() as broken:
            broken.setattr(sys, "executable", "/no/such/python")
            os.kill(keeper_pid(), signal.SIGKILL)
            pattern = (
                "1 processes are without a keeper for 0.0 s: the keeper could not be started: .*"
            )
            await until(lambda: any(re.fullmatch(pattern, line) for line in caplog.messages))
            with pytest.raises(LaunchError):
                await start(keeper, "true")
        # A start doesn't wait for the next try, and brings the takeover with it.
        assert 0 == (await (await start(keeper, "true")).exited()).code
        process.signal(signal.SIGTERM)

        assert UNKNOWN == await process.exited()


async def test_a_keeper_of_nothing_is_replaced_by_the_next_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Keeper() as keeper, bounded():
        await (await start(keeper, "true")).gone()
        os.kill(keeper_pid(), signal.SIGKILL)
        await until(lambda: caplog.messages)
        expected = "the keeper ended unexpectedly: the next start brings another one"
        assert [expected] == caplog.messages

        assert 0 == (await (await start(keeper, "true")).exited()).code


@pytest.mark.parametrize("leaving", [False, True], ids=["before", "meanwhile"])
async def test_a_keeper_that_is_killed_when_the_master_leaves_is_replaced(leaving: bool) -> None:
    async with bounded():
        async with Keeper() as keeper, python(keeper, kept.STUBBORN) as one:
            pid = int(await one.line())
            os.kill(keeper_pid(), signal.SIGSTOP)
            end = asyncio.create_task(keeper.__aexit__(None, None, None)) if leaving else None
            await asyncio.sleep(0)
            os.kill(keeper_pid(), signal.SIGKILL)
            if end is not None:
                await end

        assert not lives(pid)
        assert UNKNOWN == await one.process.exited()
        assert [] == keeper_pids()


async def test_where_nothing_can_be_proved_all_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "LINUX", False)
    async with Keeper() as keeper, bounded():
        process = await start(keeper, "sleep", "60")
        os.kill(keeper_pid(), signal.SIGKILL)

        assert UNKNOWN == await process.exited()
        await process.gone()
        os.kill(process.pid, signal.SIGKILL)
        expected = "the keeper ended unexpectedly: how its 1 processes end is unknown"
        assert [expected] == caplog.messages
