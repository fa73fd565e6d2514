"""Keepers of true processes for tests, and what they start."""

import asyncio
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.master import keeper as script
from hsu_worker.master.keeper.processes import live_processes, process_line
from hsu_worker.master.keeping import Keeper, Process
from tests.until import until

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
OUTLIVES_ON_TERM = (
    "import os, signal, time\n"
    "if os.fork(): time.sleep(60)\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print(os.getpid(), flush=True)\ntime.sleep(60)"
)
STOPPED = (
    "import os, signal\n"
    "print(os.getpid(), flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)\nsignal.pause()"
)
NATIVE = (
    "import os, re, signal\nsignal.signal(signal.SIGTERM, lambda *_: None)\n"
    "print(os.getpid(), flush=True)\nre.match('(a+)+b', 'a' * 100)"
)
"""No other thread gets to run while the expression backtracks, which takes years."""
SAYS_BYE = (
    "import os, signal, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'bye\\n'), os._exit(3)))\n"
    "print('ready', flush=True)\ntime.sleep(60)"
)
UNMARKED = (
    "import subprocess, sys, time\n"
    "code = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'\n"
    "subprocess.Popen([sys.executable, '-c', code], env={}, start_new_session=True)\n"
    "time.sleep(60)"
)
"""It clears its child's environment, and lets it go into a session of its own."""
STRAYS = (
    "import os, subprocess, sys, time\n"
    "code = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'\n"
    "if os.fork(): time.sleep(60)\n"
    "os.setsid()\n"
    "subprocess.Popen([sys.executable, '-c', code], env={}, start_new_session=True)\n"
    "os._exit(0)"
)
"""As `UNMARKED`, and its child's parent is gone: nobody can say whose it is."""
MASTER = """
import asyncio, os, signal, sys
import pytest

from hsu_worker.master import keeper as script
from hsu_worker.master.keeper.processes import live_processes, process_line
from hsu_worker.master.keeping import Keeper

script.PROGRAM = sys.argv[1]

async def main():
    async with Keeper() as keeper:
        async def spawn(*argv):
            return await keeper.spawn(argv, env=os.environ, cwd="/", stdin=0, stdout=1, stderr=2)

        await spawn(sys.executable, "-c", sys.argv[3])
        if sys.argv[2] == "True":
            witness = await spawn("sleep", "60")
            with open(f"/proc/self/task/{os.getpid()}/children") as children:
                os.kill(int(children.read()), signal.SIGKILL)
            witness.signal(signal.SIGKILL)
            await witness.gone()
        os.write(1, b"under a keeper\\n")
        if len(sys.argv) > 4 and os.fork() == 0:
            # As a process of a pool: it holds all that the master holds, and does not notice its end.
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            signal.pause()
        await asyncio.sleep(60)

asyncio.run(main())
"""


def bounded() -> asyncio.Timeout:
    return asyncio.timeout(BOUND)


class Started:
    def __init__(self, process: Process, output: int) -> None:
        self.process = process
        self.output = output

    async def line(self) -> str:
        return (await asyncio.to_thread(read_line, self.output)).strip()


def read_line(descriptor: int) -> str:
    line = b""
    while not line.endswith(b"\n"):
        assert ends(descriptor), f"no line within {BOUND} s: {line!r}"
        byte = os.read(descriptor, 1)
        assert byte, f"the output ended in a line: {line!r}"
        line += byte
    return line.decode()


def ends(descriptor: int) -> bool:
    """Whether a pipe or a process ends (or has something to read) in time."""
    readable, _, _ = select.select([descriptor], [], [], BOUND)
    return bool(readable)


def lives(pid: int) -> bool:
    line = process_line(pid)
    return line is not None and line.live


@asynccontextmanager
async def started(
    keeper: Keeper, *argv: str, announce: int | None = None, stdin: int | None = None
) -> AsyncGenerator[Started, None]:
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    try:
        process = await keeper.spawn(
            argv,
            env=dict(os.environ),
            cwd="/",
            stdin=null if stdin is None else stdin,
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


def keeper_pids() -> list[int]:
    """The children of this process that run the keeper's script."""
    return [
        line.pid
        for line in live_processes()
        if line.parent == os.getpid() and "-I" in arguments(line.pid)
    ]


def arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def keeper_pid() -> int:
    (found,) = keeper_pids()
    return found


async def lose_keeper() -> int:
    """Kill the keeper; returns the pid of the next one. What is asked now comes after the takeover."""
    old = keeper_pid()
    os.kill(old, signal.SIGKILL)
    await until(lambda: [pid for pid in keeper_pids() if pid != old], within=BOUND)
    return keeper_pid()


@contextmanager
def master(
    code: str, *, taken_over: bool = False, forks: bool = False
) -> Generator[tuple[subprocess.Popen[bytes], int]]:
    """A master in a process of its own with one worker, and the pid that this has printed."""
    with subprocess.Popen(
        [sys.executable, "-c", MASTER, script.PROGRAM, str(taken_over), code, *["forks"] * forks],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdout is not None
        try:
            lines = {read_line(process.stdout.fileno()).strip() for _ in range(2)}
            (pid,) = lines - {"under a keeper"}
            yield process, int(pid)
        finally:
            process.kill()


@contextmanager
def bare_keeper(mark: str | None = None) -> Generator[socket.socket]:
    near, far = socket.socketpair()
    with near:
        near.settimeout(BOUND)
        with far:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", script.PROGRAM, str(os.getpid())],
                stdin=far.fileno(),
                stderr=subprocess.PIPE,
                env={**os.environ, script.MARK: mark or secrets.token_hex(8)},
                start_new_session=True,
            )
        with process:
            try:
                yield near
            finally:
                near.close()
            assert process.stderr is not None
            assert b"" == process.stderr.read()
            assert 0 == process.wait(BOUND)


def write(near: socket.socket, body: bytes | dict[str, Any], *descriptors: int) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    socket.send_fds(near, [script.HEADER.pack(len(data)) + data], list(descriptors))


def read(near: socket.socket) -> Any:
    (length,) = script.HEADER.unpack(near.recv(script.HEADER.size, socket.MSG_WAITALL))
    return json.loads(near.recv(length, socket.MSG_WAITALL))


def plant(monkeypatch: pytest.MonkeyPatch, folder: Path, sound: str, broken: str) -> None:
    """Run a copy of the keeper from now on, in which one place reads otherwise."""
    copy = folder / "keeper"
    if Path(script.PROGRAM) != copy:
        shutil.copytree(script.PROGRAM, copy, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(script, "PROGRAM", str(copy))
    texts = {file: file.read_text() for file in copy.glob("*.py")}
    count = sum(text.count(sound) for text in texts.values())
    assert 1 == count, f"{count} places in the keeper read {sound!r}"
    for file, text in texts.items():
        file.write_text(text.replace(sound, broken))
