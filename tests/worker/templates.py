"""Templates of true processes for tests, and what is forked from them: the keeper's side."""

import asyncio
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsu_worker import worker
from hsu_worker.master.keeper.processes import live_processes
from tests.until import until
from tests.worker.process import environment

BOUND = 20.0
"""A hang, not a measure."""
MARK = "HSU_KEEPER_ID"
PROGRAM = "from hsu_worker.worker import template\n{before}\nraise SystemExit(template.main())"
PR_SET_CHILD_SUBREAPER = 36


class Template:
    """The socket to one, and the process."""

    def __init__(self, process: subprocess.Popen[bytes], near: socket.socket, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self._near = near

    def answer(self) -> Any:
        """Its next word; None when it has left."""
        data = self._near.recv(1 << 16)
        return json.loads(data) if data else None

    def spare(self) -> int:
        """Wait until it has a spare; returns its pid."""
        wait_until(spares)
        (pid,) = spares()
        return pid

    def ask(
        self,
        *,
        env: Mapping[str, str] | None = None,
        number: int = 1,
        cwd: Path | None = None,
        limits: Mapping[str, object] | None = None,
    ) -> int:
        """Ask for a fork; returns where its stdout and stderr come out."""
        reading, writing = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        request = {
            "id": number,
            "target": "mysvc:Service",
            "argv": ["python", "-m", "hsu_worker.worker", "mysvc:Service"],
            "env": environment(**{MARK: f"abc/{number}"}, **(env or {})),
            "cwd": str(cwd or self.folder),
            "announce": False,
            "limits": limits,
        }
        socket.send_fds(self._near, [json.dumps(request).encode()], [null, writing, writing])
        os.close(null)
        os.close(writing)
        return reading

    def close(self) -> None:
        self._near.close()


def wait_until(condition: Callable[[], object]) -> None:
    """As `until`, for tests without a loop."""
    asyncio.run(until(condition, within=BOUND))


def spares() -> list[int]:
    """The children of this process that are spares, and wait for a request."""
    return [
        line.pid
        for line in live_processes()
        if line.parent == os.getpid() and "hsu_worker.worker.spare" in arguments(line.pid)
    ]


def arguments(pid: int) -> list[str]:
    """The command line of a process; none when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def planted(module: str, sound: str, broken: str) -> str:
    """Code that makes one place of a module of the template's read otherwise."""
    # Here, too: a template that ends with it looks like one whose bug was noticed.
    source = (Path(worker.__file__).parent / f"{module}.py").read_text()
    if source.count(sound) != 1:
        raise LookupError(f"{module}.py holds {sound!r} {source.count(sound)} times")
    return f"""
from hsu_worker.worker import rehearsal, spare
source = open({module}.__file__).read()
name, {module}.__name__ = {module}.__name__, "planted"
exec(compile(source.replace({sound!r}, {broken!r}), {module}.__file__, "exec"), {module}.__dict__)
{module}.__name__ = name
spare.rehearse = rehearsal.rehearse
template.Spares = spare.Spares
"""


@contextmanager
def template(
    folder: Path, target: str = "", *, before: str = "", **variables: str
) -> Generator[Template]:
    """Run one in a folder; `before` is code that runs before it begins."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.settimeout(BOUND)
    with far:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(before=before), target, " " * 100],
            stdin=far.fileno(),
            cwd=folder,
            env=environment(**{MARK: "abc/t//////////"}, **variables),
            start_new_session=True,
        )
    try:
        yield Template(process, near, folder)
    finally:
        near.close()
        process.kill()
        process.wait(BOUND)
        wait_until(lambda: not spares())


def output(descriptor: int) -> str:
    """All that comes out, up to the end of those who write."""
    data = b""
    while True:
        readable, _, _ = select.select([descriptor], [], [], BOUND)
        assert readable, f"no end of the output within {BOUND} s: {data!r}"
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            os.close(descriptor)
            return data.decode()
        data += chunk


@contextmanager
def adopting_orphans() -> Generator[None]:
    """Be a subreaper, as a keeper is; what a failed test leaves ends with it."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        for line in live_processes():
            if line.parent == os.getpid() and any("/abc/" in mark for mark in line.marks()):
                os.kill(line.pid, signal.SIGKILL)
                os.waitpid(line.pid, 0)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def exit_code(pid: int) -> int:
    """How an adopted process ended."""
    handle = os.pidfd_open(pid)
    try:
        readable, _, _ = select.select([handle], [], [], BOUND)
        assert readable, f"{pid} lives on"
    finally:
        os.close(handle)
    until = time.monotonic() + BOUND
    while True:
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            # It may end before the parent does that has to leave it to us, which no event tells.
            assert time.monotonic() < until, f"{pid} is somebody else's child"
            time.sleep(0.002)
        else:
            return os.waitstatus_to_exitcode(status)


def write_module(folder: Path, code: str) -> str:
    """Write the module `mysvc` into a folder; returns an import string."""
    (folder / "mysvc.py").write_text(code)
    return "mysvc:Service"
