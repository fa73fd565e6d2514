"""Templates of true processes for tests, and what is forked from them: the keeper's side."""

import ctypes
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

    def ask(
        self, *, env: Mapping[str, str] | None = None, number: int = 1, cwd: Path | None = None
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
            "limits": None,
        }
        socket.send_fds(self._near, [json.dumps(request).encode()], [null, writing, writing])
        os.close(null)
        os.close(writing)
        return reading

    def close(self) -> None:
        self._near.close()


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
    """Be a subreaper, as a keeper is."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
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
