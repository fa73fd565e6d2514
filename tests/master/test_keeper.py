"""The keeper, with true processes."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.errors import LaunchError
from hsu_worker.master import keeper as script
from hsu_worker.master.keeping import Exit, Keeper, Process

BOUND = 5.0
"""A hang, not a measure: five times the second in which a keeper stops everything."""

OUTLIVES = (
    "import os, time\nif os.fork(): os._exit(7)\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
)
ESCAPES = (
    "import os, time\n"
    "if os.fork(): time.sleep(60)\n"
    "os.setsid()\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
)
STUBBORN = (
    "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print(os.getpid(), flush=True)\ntime.sleep(60)"
)
MASTER = """
import asyncio, os, sys
from hsu_worker.master.keeping import Keeper

async def main():
    async with Keeper() as keeper:
        for code in sys.argv[1:]:
            await keeper.spawn(
                [sys.executable, "-c", code], env=dict(os.environ), cwd="/", stdin=0, stdout=1, stderr=2
            )
        await asyncio.sleep(60)

asyncio.run(main())
"""


class Started:
    def __init__(self, process: Process, output: int) -> None:
        self.process = process
        self.output = output

    async def line(self) -> str:
        return (await asyncio.to_thread(read_line, self.output)).strip()


def read_line(descriptor: int) -> str:
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([descriptor], [], [], BOUND)
        assert readable, f"no line within {BOUND} s: {line!r}"
        byte = os.read(descriptor, 1)
        assert byte, f"the output ended in a line: {line!r}"
        line += byte
    return line.decode()


def lives(pid: int) -> bool:
    line = script.process_line(pid)
    return line is not None and line.live


@asynccontextmanager
async def started(
    keeper: Keeper, *argv: str, announce: int | None = None
) -> AsyncGenerator[Started, None]:
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    try:
        process = await keeper.spawn(
            argv,
            env=dict(os.environ),
            cwd="/",
            stdin=null,
            stdout=writing,
            stderr=writing,
            announce=announce,
        )
        os.close(writing)
        writing = -1
        yield Started(process, reading)
    finally:
        os.close(null)
        os.close(reading)
        if writing >= 0:
            os.close(writing)


@asynccontextmanager
async def python(keeper: Keeper, code: str) -> AsyncGenerator[Started, None]:
    async with started(keeper, sys.executable, "-c", code) as one:
        yield one


async def start(
    keeper: Keeper, *argv: str, cwd: str | Path = "/", more: dict[str, str] | None = None
) -> Process:
    null = os.open(os.devnull, os.O_RDWR)
    try:
        return await keeper.spawn(
            argv,
            env=dict(os.environ) | (more or {}),
            cwd=cwd,
            stdin=null,
            stdout=null,
            stderr=null,
        )
    finally:
        os.close(null)


async def refusal(*argv: str, cwd: str | Path = "/") -> str:
    async with Keeper() as keeper:
        with pytest.raises(LaunchError) as caught:
            await start(keeper, *argv, cwd=cwd)
    return str(caught.value)


async def test_an_exit_code_is_reported() -> None:
    async with Keeper() as keeper, asyncio.timeout(BOUND):
        process = await start(keeper, "sh", "-c", "exit 3")
        end = await process.exited()
        await process.gone()

    assert (3, None) == (end.code, end.signal)
    assert end.maxrss > 100_000


async def test_a_signal_reaches_the_process_and_is_reported() -> None:
    async with Keeper() as keeper, asyncio.timeout(BOUND):
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
    async with Keeper() as keeper, asyncio.timeout(BOUND), python(keeper, OUTLIVES) as one:
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
    async with Keeper() as keeper, asyncio.timeout(BOUND), python(keeper, ESCAPES) as one:
        escaped = int(await one.line())
        one.process.signal(signal.SIGKILL)
        await one.process.gone()

        assert not lives(escaped)


async def test_what_left_the_group_does_not_outlive_it() -> None:
    async with Keeper() as keeper, asyncio.timeout(BOUND), python(keeper, ESCAPES) as one:
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
    async with Keeper() as keeper, asyncio.timeout(BOUND), python(keeper, code) as one:
        assert "[] [] [0, 1, 2] True" == await one.line()


async def test_the_announcement_descriptor_is_inherited_under_its_number() -> None:
    reading, writing = os.pipe()
    try:
        command = 'echo "here I am" >&"$HSU_ANNOUNCE_FD"'
        async with (
            Keeper() as keeper,
            asyncio.timeout(BOUND),
            started(keeper, "bash", "-c", command, announce=writing) as one,
        ):
            assert 0 == (await one.process.exited()).code
            assert "here I am\n" == await asyncio.to_thread(read_line, reading)
    finally:
        os.close(reading)
        os.close(writing)


async def test_a_large_environment_arrives() -> None:
    variables = {f"LARGE_{n}": "x" * 100_000 for n in range(8)}
    async with Keeper() as keeper, asyncio.timeout(BOUND):
        process = await start(keeper, "sh", "-c", "test ${#LARGE_7} = 100000", more=variables)
        assert 0 == (await process.exited()).code


async def test_fifty_starts_leave_no_descriptor_behind() -> None:
    async with Keeper() as keeper, asyncio.timeout(6 * BOUND):
        first = await start(keeper, "true")
        await first.gone()
        owner = keeper_pid()
        before = (count_descriptors(os.getpid()), count_descriptors(owner))
        for _ in range(50):
            process = await start(keeper, "true")
            await process.gone()

        assert before == (count_descriptors(os.getpid()), count_descriptors(owner))


def count_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def keeper_pid() -> int:
    """The one child of this process that runs the keeper's script."""
    (found,) = [
        line.pid
        for line in script.live_processes()
        if line.parent == os.getpid()
        and script.__file__.encode() in Path(f"/proc/{line.pid}/cmdline").read_bytes().split(b"\0")
    ]
    return found


async def test_a_cancelled_wait_can_be_repeated() -> None:
    async with Keeper() as keeper, asyncio.timeout(BOUND):
        process = await start(keeper, "sleep", "60")
        waiting = asyncio.create_task(process.exited())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        process.signal(signal.SIGKILL)

        assert "killed by SIGKILL" == str(await process.exited())


async def test_a_cancelled_start_leaves_no_process() -> None:
    reading, writing = os.pipe()
    async with Keeper() as keeper, asyncio.timeout(BOUND):
        spawning = asyncio.create_task(
            keeper.spawn(
                ["sleep", "60"],
                env=dict(os.environ),
                cwd="/",
                stdin=reading,
                stdout=writing,
                stderr=writing,
            )
        )
        await asyncio.sleep(0)
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
        os.close(writing)

        # The pipe ends with the last process that holds it.
        assert b"" == await asyncio.to_thread(os.read, reading, 1)
    os.close(reading)


async def test_leaving_stops_what_still_runs_and_leaves_no_zombie() -> None:
    async with asyncio.timeout(BOUND):
        async with Keeper() as keeper, python(keeper, STUBBORN) as one:
            pid = int(await one.line())
            owner = keeper_pid()

        assert not lives(pid)
        assert script.process_line(owner) is None
        assert "exit code unknown" == str(await one.process.exited())
        await one.process.gone()


async def test_the_end_of_a_keeper_makes_exits_unknown_and_the_next_start_brings_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Keeper() as keeper, asyncio.timeout(BOUND), python(keeper, STUBBORN) as one:
        orphan = int(await one.line())
        os.kill(keeper_pid(), signal.SIGKILL)
        end = await one.process.exited()
        await one.process.gone()
        os.kill(orphan, signal.SIGKILL)

        assert Exit(None, None, 0) == end
        expected = "the keeper ended unexpectedly: how its 1 processes end is unknown"
        assert expected in caplog.messages

        process = await start(keeper, "sh", "-c", "exit 4")
        assert 4 == (await process.exited()).code


@pytest.mark.parametrize(
    "code", [ESCAPES, STUBBORN, OUTLIVES], ids=["escapes", "stubborn", "outlives"]
)
def test_nothing_outlives_a_killed_master(code: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MASTER, code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as master:
        assert master.stdout is not None
        pid = int(read_line(master.stdout.fileno()))
        assert lives(pid)
        # A process closes its descriptors before it is dead: its own end is what to wait for.
        handle = os.pidfd_open(pid)
        master.kill()
        try:
            assert ends(handle), f"{pid} still lives after {BOUND} s"
        finally:
            os.close(handle)
        # The output ends with the last process that holds it: child and grandchild.
        assert ends(master.stdout.fileno()), f"the output is still held after {BOUND} s"
        assert b"" == os.read(master.stdout.fileno(), 1)


def ends(descriptor: int) -> bool:
    readable, _, _ = select.select([descriptor], [], [], BOUND)
    return bool(readable)


@contextmanager
def bare_keeper() -> Iterator[socket.socket]:
    near, far = socket.socketpair()
    with near:
        near.settimeout(BOUND)
        with far:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", script.__file__],
                stdin=far.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        with process:
            yield near
            near.close()
            assert process.stderr is not None
            assert b"" == process.stderr.read()
            assert 0 == process.wait(BOUND)


def write(master: socket.socket, body: bytes, *descriptors: int) -> None:
    socket.send_fds(
        master, [script.HEADER.pack(len(body), len(descriptors)) + body], list(descriptors)
    )


def read(master: socket.socket) -> Any:
    length, _ = script.HEADER.unpack(master.recv(script.HEADER.size, socket.MSG_WAITALL))
    return json.loads(master.recv(length, socket.MSG_WAITALL))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"{}",
        b'{"op": "dance"}',
        b'{"op": "spawn"}',
        b'{"op": "signal", "id": "one", "signal": 9}',
        b'{"op": "signal", "id": 1e999, "signal": 9}',
        b'{"op": "spawn", "id": 1, "cwd": "/\\u0000", "env": {}, "argv": []}',
        b"[" * 100_000,
    ],
)
def test_a_malformed_request_does_not_end_the_keeper(body: bytes) -> None:
    with bare_keeper() as master:
        write(master, body)
        assert read(master)["event"] in ("refused", "failed")
        write(master, b'{"op": "nothing"}')
        assert "refused" == read(master)["event"]


@pytest.mark.parametrize(
    "fields",
    [
        {"argv": []},
        {"argv": ["a\0b"]},
        {"argv": 7},
        {"env": 7},
        {"env": {"a=b": "c"}},
        {"cwd": "/x\0"},
    ],
)
def test_a_spawn_that_makes_no_sense_fails(fields: dict[str, object]) -> None:
    request: dict[str, object] = {"op": "spawn", "id": 1, "argv": ["true"], "env": {}, "cwd": "/"}
    with bare_keeper() as master, open(os.devnull, "r+b") as null:
        write(master, json.dumps(request | fields).encode(), *[null.fileno()] * 3)
        event = read(master)
        assert ("failed", 1) == (event["event"], event["id"])


def test_a_keeper_that_may_leave_waits_for_the_last_of_its_units() -> None:
    request = {
        "op": "spawn",
        "id": 1,
        "argv": ["sh", "-c", "read x"],
        "env": dict(os.environ),
        "cwd": "/",
    }
    reading, writing = os.pipe()
    with bare_keeper() as master, open(os.devnull, "r+b") as null:
        write(master, json.dumps(request).encode(), reading, null.fileno(), null.fileno())
        write(master, b'{"op": "leave"}')
        assert "spawned" == read(master)["event"]
        os.close(writing)
        exited = read(master)
        assert ("exited", 1, 0) == (exited["event"], exited["code"], exited["members"])
        assert "gone" == read(master)["event"]
        assert b"" == master.recv(1)
    os.close(reading)
