"""The command, run in this process: nothing but the servers that it asks are processes of their own."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.cli import main
from hsu_worker.cli._stdin import READER
from tests.worker.process import environment


@dataclass
class Result:
    exit_code: int
    stdout: str
    stderr: str

    def error(self, code: int = 1) -> str:
        """What it said, of what fails without a word on stdout."""
        assert (code, "") == (self.exit_code, self.stdout), self.stderr
        *_, message = self.stderr.partition("Error: ")
        return message.removesuffix("\n")

    @property
    def json(self) -> Any:
        """What it printed, of what succeeds."""
        assert (0, "") == (self.exit_code, self.stderr)
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[Any]:
        """What it printed, each line of its own."""
        assert (0, "") == (self.exit_code, self.stderr)
        return [json.loads(line) for line in self.stdout.splitlines()]


def run(*arguments: str, stdin: bytes = b"") -> Result:
    """Run the command."""
    # With bytes below: some of what click prints is written there.
    stdout = TextIOWrapper(BytesIO(), encoding="utf-8", write_through=True)
    with (
        _stdin(stdin),
        redirect_stdout(stdout),
        redirect_stderr(StringIO()) as stderr,
        pytest.raises(SystemExit) as left,
    ):
        main.main(arguments, prog_name="hsu-worker")
    written = stdout.buffer
    assert isinstance(written, BytesIO)
    return Result(int(left.value.code or 0), written.getvalue().decode(), stderr.getvalue())


@contextmanager
def _stdin(data: bytes) -> Iterator[None]:
    """Give this process another stdin, which a thread may read."""
    read, write = os.pipe()
    kept = os.dup(0)
    os.dup2(read, 0)
    os.close(read)
    os.write(write, data)
    os.close(write)
    try:
        yield
    finally:
        # A command that failed in the middle has left its reader behind, one read before the end.
        for thread in threading.enumerate():
            if thread.name == READER:
                thread.join()
        os.dup2(kept, 0)
        os.close(kept)


@contextmanager
def process(folder: Path, *arguments: str, **variables: str) -> Iterator[str]:
    """Run the command in a process of its own while the block runs; gives its first line."""
    started = subprocess.Popen(
        [sys.executable, "-m", "hsu_worker", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(**variables),
    )
    assert started.stdout is not None
    try:
        line = started.stdout.readline()
        assert line, started.communicate()
        yield line
    finally:
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=20)
