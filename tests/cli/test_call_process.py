"""`hsu-worker call` as a process: pipes, signals, terminals."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.answering import Answering, answering
from tests.worker.process import environment

KINDS = "hsu.test.v1.Kinds"


@pytest.fixture(scope="module")
def there() -> Iterator[Answering]:
    with answering() as it:
        yield it


def begin(
    *arguments: str,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "hsu_worker", *arguments],
        env=environment(XDG_RUNTIME_DIR=os.environ["XDG_RUNTIME_DIR"]),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def end(process: "subprocess.Popen[bytes]") -> tuple[int, bytes, bytes]:
    out, errors = process.communicate(timeout=30)
    return process.returncode, out, errors


def first_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def endless(there: Answering) -> "subprocess.Popen[bytes]":
    """A call whose answers never end."""
    return begin("call", there.worker, f"{KINDS}/ServerStream", '{"number": "1000000000"}')


def test_a_reader_that_leaves_ends_the_call_in_silence(there: Answering) -> None:
    process = endless(there)
    assert b"{}\n" == first_line(process)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert b"" == process.stderr.read()
    assert 1 == process.wait(30)
    process.stderr.close()


def test_ctrl_c_ends_a_call(there: Answering) -> None:
    process = endless(there)
    first_line(process)
    process.send_signal(signal.SIGINT)
    code, _, errors = end(process)
    assert (1, b"\nAborted!\n") == (code, errors)


def test_ctrl_c_ends_the_wait_for_stdin(there: Answering) -> None:
    read, write = os.pipe()
    process = begin("call", there.worker, f"{KINDS}/Bidi", stdin=read)
    os.write(write, b'{"text": "a"}\n')
    assert b'{"text": "a"}\n' == first_line(process)
    process.send_signal(signal.SIGINT)
    assert (1, b"", b"\nAborted!\n") == end(process)
    os.close(read)
    os.close(write)


def test_a_server_that_ends_the_call_does_not_wait_for_stdin(there: Answering) -> None:
    read, write = os.pipe()
    arguments = ("call", there.worker, f"{KINDS}/Bidi", "--timeout", "1")
    process = begin(*arguments, stdin=read)
    code, out, errors = end(process)
    assert (1, b"") == (code, out)
    assert errors.startswith(b"Error: DEADLINE_EXCEEDED")
    os.close(read)
    os.close(write)


def test_stdin_may_be_closed(there: Answering) -> None:
    command = (
        f'exec {sys.executable} -m hsu_worker call {there.worker} {KINDS}/ClientStream "$@" <&-'
    )
    done = subprocess.run(
        ["bash", "-c", command], env=environment(), capture_output=True, check=True, timeout=30
    )
    assert b"{}\n" == done.stdout


class Terminal:
    """A terminal that a command is typed at."""

    def __init__(self) -> None:
        self.main, self.other = pty.openpty()
        self.shown = b""

    def until(self, text: bytes) -> None:
        while text not in self.shown:
            self.shown += os.read(self.main, 4096)

    def close(self) -> None:
        os.close(self.main)
        os.close(self.other)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    it = Terminal()
    yield it
    it.close()


def test_a_single_answer_is_pretty_on_a_terminal(there: Answering, terminal: Terminal) -> None:
    process = begin("call", there.worker, f"{KINDS}/Unary", '{"text": "a"}', stdout=terminal.other)
    terminal.until(b"}\r\n")
    assert b'{\r\n  "text": "a"\r\n}\r\n' == terminal.shown
    assert (0, b"") == (process.wait(30), end(process)[2])


def test_requests_are_typed_at_a_terminal(there: Answering, terminal: Terminal) -> None:
    process = begin("call", there.worker, f"{KINDS}/Bidi", stdin=terminal.other)
    os.write(terminal.main, b'{"text": "a"}\n')
    assert b'{"text": "a"}\n' == first_line(process)
    os.write(terminal.main, b"\x04")
    code, out, errors = end(process)
    assert (0, b"") == (code, out)
    assert b"Type requests, each as JSON on one line; Ctrl-D ends them.\n" == errors


def test_a_call_without_json_at_a_terminal_sends_the_empty_request(
    there: Answering, terminal: Terminal
) -> None:
    process = begin("call", there.worker, f"{KINDS}/Unary", stdin=terminal.other)
    assert (0, b"{}\n", b"") == end(process)


def test_the_start_of_a_unit_is_shown_at_a_terminal(there: Answering, terminal: Terminal) -> None:
    stopped = begin("stop", "u")
    assert (0, b"u is stopped\n", b"") == end(stopped)
    process = begin("call", f"{KINDS}/Unary", "{}", stderr=terminal.other)
    terminal.until(b"u: 0%")
    code, out, _ = end(process)
    assert (0, b"{}\n") == (code, out)
