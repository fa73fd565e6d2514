"""The keeper, with true processes: starts, signals, ends, and the end of the master."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from hsu_worker.errors import LaunchError
from hsu_worker.master.keeper.processes import process_line
from hsu_worker.master.keeping import Exit, Keeper
from tests.master import kept
from tests.master.kept import bounded, keeper_pid, lives, python, start, started


async def refusal(*argv: str, cwd: str | Path = "/") -> str:
    async with Keeper() as keeper:
        with pytest.raises(LaunchError) as caught:
            await start(keeper, *argv, cwd=cwd)
    return str(caught.value)


async def test_an_exit_code_is_reported() -> None:
    async with Keeper() as keeper, bounded():
        process = await start(keeper, "sh", "-c", "exit 3")
        end = await process.exited()
        await process.gone()

    assert (3, None) == (end.code, end.signal)
    assert end.maxrss > 100_000


async def test_a_signal_reaches_the_process_and_is_reported() -> None:
    async with Keeper() as keeper, bounded():
        process = await start(keeper, "sleep", "60")
        process.signal(signal.SIGTERM)
        end = await process.exited()
        await process.gone()
        process.signal(signal.SIGTERM)

    assert (None, signal.SIGTERM) == (end.code, end.signal)


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (Exit(1, None, 0), "exit code 1"),
        (Exit(None, 9, 0), "killed by SIGKILL"),
        (Exit(None, 40, 0), "killed by signal 40"),
        (Exit(None, None, 0), "exit code unknown"),
    ],
)
def test_an_exit_reads_as_a_sentence(end: Exit, text: str) -> None:
    assert text == str(end)


async def test_a_missing_command_is_named() -> None:
    assert "command './x' does not exist: correct the path" == await refusal("./x")
    expected = "command 'no-such-program' does not exist: install it, or correct the PATH"
    assert expected == await refusal("no-such-program")


async def test_a_command_that_is_not_executable_is_named(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("exit 0")

    expected = "command './plain' is not executable: run `chmod +x` on it"
    assert expected == await refusal("./plain", cwd=tmp_path)

    (tmp_path / "plain").chmod(0o755)
    expected = "command './plain' is not executable: a script needs a first line (#!...)"
    assert expected == await refusal("./plain", cwd=tmp_path)


async def test_a_missing_interpreter_is_not_a_missing_command(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)

    expected = (
        "the interpreter of command './script' does not exist: correct its first line (#!...)"
    )
    assert expected == await refusal("./script", cwd=tmp_path)


async def test_a_missing_working_directory_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"

    expected = f"the working directory '{missing}' does not exist: create it, or correct the path"
    assert expected == await refusal("true", cwd=missing)


async def test_an_empty_command_is_refused() -> None:
    assert "the command is empty: name a program" == await refusal()


async def test_a_closed_keeper_starts_nothing() -> None:
    async with Keeper() as keeper:
        pass

    with pytest.raises(LaunchError) as caught:
        await start(keeper, "true")
    expected = "the keeper is closed: start commands inside its `async with`"
    assert expected == str(caught.value)


async def test_a_group_is_gone_when_its_last_member_is() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.OUTLIVES) as one:
        member = int(await one.line())
        end = await one.process.exited()
        gone = asyncio.create_task(one.process.gone())
        await asyncio.sleep(0)

        assert 7 == end.code
        assert lives(member)
        assert not gone.done()

        one.process.signal(signal.SIGTERM)
        await gone
        assert not lives(member)


async def test_sigkill_also_ends_what_left_the_group() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.ESCAPES) as one:
        escaped = int(await one.line())
        one.process.signal(signal.SIGKILL)
        await one.process.gone()

        assert not lives(escaped)


async def test_what_left_the_group_does_not_outlive_it() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.ESCAPES) as one:
        escaped = int(await one.line())
        one.process.signal(signal.SIGTERM)
        await one.process.gone()

        assert not lives(escaped)


async def test_a_command_starts_with_default_signals_and_nothing_but_its_descriptors() -> None:
    code = (
        "import os, signal\n"
        "numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1]\n"
        "ignored = [s for s in numbers if signal.getsignal(s) is signal.SIG_IGN]\n"
        "blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
        "fds = [fd for fd in range(64) if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        "print(ignored, sorted(blocked), fds, os.getsid(0) == os.getpid())\n"
    )
    async with Keeper() as keeper, bounded(), python(keeper, code) as one:
        assert "[] [] [0, 1, 2] True" == await one.line()


async def test_the_announcement_descriptor_is_inherited_under_its_number() -> None:
    reading, writing = os.pipe()
    try:
        command = 'echo "here I am" >&"$HSU_ANNOUNCE_FD"'
        async with (
            Keeper() as keeper,
            bounded(),
            started(keeper, "bash", "-c", command, announce=writing) as one,
        ):
            assert 0 == (await one.process.exited()).code
            assert "here I am\n" == await asyncio.to_thread(kept.read_line, reading)
    finally:
        os.close(reading)
        os.close(writing)


async def test_a_large_environment_arrives() -> None:
    variables = {f"LARGE_{n}": "x" * 100_000 for n in range(8)}
    async with Keeper() as keeper, bounded():
        process = await start(keeper, "sh", "-c", "test ${#LARGE_7} = 100000", more=variables)
        assert 0 == (await process.exited()).code


async def test_a_cancelled_wait_can_be_repeated() -> None:
    async with Keeper() as keeper, bounded():
        process = await start(keeper, "sleep", "60")
        waiting = asyncio.create_task(process.exited())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        process.signal(signal.SIGKILL)

        assert "killed by SIGKILL" == str(await process.exited())


async def test_a_cancelled_start_ends_with_nothing_left() -> None:
    async with Keeper() as keeper, bounded():
        await start(keeper, "true")
        owner = keeper_pid()
        reading, writing = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        spawning = asyncio.create_task(
            keeper.spawn(
                ["sleep", "60"], env={}, cwd="/", stdin=null, stdout=writing, stderr=writing
            )
        )
        # Nothing happens with the request before the cancellation is there.
        os.kill(owner, signal.SIGSTOP)
        await asyncio.sleep(0)
        spawning.cancel()
        await asyncio.sleep(0)
        spawning.cancel()
        os.kill(owner, signal.SIGCONT)
        with pytest.raises(asyncio.CancelledError):
            await spawning
        os.close(null)
        os.close(writing)

        # The pipe has ended with the last process that held it.
        os.set_blocking(reading, False)
        assert b"" == os.read(reading, 1)
        os.close(reading)


async def test_a_cancelled_start_that_fails_is_cancelled_all_the_same() -> None:
    async with Keeper() as keeper, bounded():
        spawning = asyncio.create_task(start(keeper, "no-such-program"))
        await asyncio.sleep(0)
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning


async def test_leaving_stops_what_still_runs_and_leaves_no_zombie() -> None:
    async with bounded():
        async with Keeper() as keeper, python(keeper, kept.STUBBORN) as one:
            pid = int(await one.line())
            owner = keeper_pid()

        assert not lives(pid)
        assert process_line(owner) is None
        assert "exit code unknown" == str(await one.process.exited())
        await one.process.gone()


async def test_a_group_is_killed_that_ignored_the_end_of_its_leader() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.OUTLIVES_ON_TERM) as one:
        child = int(await one.line())
        one.process.signal(signal.SIGTERM)
        assert "killed by SIGTERM" == str(await one.process.exited())
        gone = asyncio.create_task(one.process.gone())
        await start(keeper, "true")

        assert lives(child)
        assert not gone.done()

        one.process.signal(signal.SIGKILL)
        await gone
        assert not lives(child)
        # Nobody holds the output any more.
        assert b"" == os.read(one.output, 1)


async def test_leaving_is_a_sigterm_first() -> None:
    async with bounded():
        async with Keeper() as keeper, python(keeper, kept.SAYS_BYE) as one:
            assert "ready" == await one.line()
            output = os.dup(one.output)
        assert b"bye\n" == os.read(output, 16)
        os.close(output)


ENDS = {
    "escapes": kept.ESCAPES,
    "stubborn": kept.STUBBORN,
    "outlives": kept.OUTLIVES,
    "stopped": kept.STOPPED,
    "native": kept.NATIVE,
}


@pytest.mark.parametrize("taken_over", [False, True], ids=["started", "taken-over"])
@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_nothing_outlives_a_killed_master(code: str, taken_over: bool) -> None:
    with kept.master(code, taken_over=taken_over) as (master, pid):
        assert master.stdout is not None
        assert lives(pid)
        # A process closes its descriptors before it is dead: its own end is what to wait for.
        handle = os.pidfd_open(pid)
        master.kill()
        try:
            assert kept.ends(handle), f"{pid} still lives after {kept.BOUND} s"
        finally:
            os.close(handle)
        # The output ends with the last process that holds it: child and grandchild.
        assert kept.ends(master.stdout.fileno()), f"the output is held after {kept.BOUND} s"
        assert b"" == os.read(master.stdout.fileno(), 1)


def test_what_ignores_sigterm_outlives_a_killed_master_by_less_than_a_second() -> None:
    """The best of three: others use the machine, too."""
    took = []
    for _ in range(3):
        with kept.master(kept.STUBBORN) as (master, pid):
            handle = os.pidfd_open(pid)
            master.kill()
            began = time.monotonic()
            assert kept.ends(handle), f"{pid} still lives after {kept.BOUND} s"
            took.append(time.monotonic() - began)
            os.close(handle)

    assert min(took) < 1.0, f"they outlived it by {took} s"


def test_a_process_that_the_application_has_forked_does_not_keep_the_keeper_waiting() -> None:
    with kept.master(kept.STUBBORN, forks=True) as (master, pid):
        children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
        # The keeper, and the fork.
        until_two = time.monotonic() + kept.BOUND
        while len(pids := children.read_text().split()) < 2:
            assert time.monotonic() < until_two
        fork = max(map(int, pids))
        handle = os.pidfd_open(pid)
        master.kill()
        try:
            assert kept.ends(handle), f"{pid} still lives after {kept.BOUND} s"
            assert lives(fork)
        finally:
            os.close(handle)
            os.kill(fork, signal.SIGKILL)


async def test_leaving_waits_for_no_process_that_the_application_has_forked() -> None:
    async with bounded():
        async with Keeper() as keeper:
            await start(keeper, "sleep", "60")
            owner = keeper_pid()
            assert keeper._link is not None
            held = keeper._link._socket.fileno()
            fork = await asyncio.create_subprocess_exec("sleep", "60", pass_fds=[held])
        assert process_line(owner) is None
    assert lives(fork.pid)
    fork.kill()
    await fork.wait()


async def test_what_cleared_its_environment_and_left_the_group_does_not_outlive_it() -> None:
    async with Keeper() as keeper, bounded(), python(keeper, kept.UNMARKED) as one:
        escaped = int(await one.line())
        one.process.signal(signal.SIGTERM)
        await one.process.gone()

        assert not lives(escaped)
        assert () == one.process.strays


async def test_what_nobody_can_tell_to_be_its_own_is_reported_and_ends_with_the_master() -> None:
    async with bounded():
        async with Keeper() as keeper, python(keeper, kept.STRAYS) as one:
            stray = int(await one.line())
            one.process.signal(signal.SIGTERM)
            await one.process.gone()
            assert (stray,) == one.process.strays
            assert lives(stray)
            # It is told once.
            other = await start(keeper, "true")
            await other.gone()
            assert () == other.strays
        assert not lives(stray)
