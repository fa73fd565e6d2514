"""Templates that are lost at one certain moment: what their keeper makes of what they were asked for."""

import errno
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from hsu_worker.master.keeper.processes import LINUX
from tests.master.kept import BOUND, bare_keeper, lives, plant, read, write
from tests.until import until

pytestmark = pytest.mark.skipif(not LINUX, reason="forks are used on Linux only")

#: What forks as our template does, and notes the pid of each worker that it makes.
FORKS: Final = """
import json, os, signal, socket, sys, time

keeper = os.getppid()
asked = socket.socket(fileno=os.dup(0))
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
first = not os.path.exists("made")

def next_wish():
    return json.loads(asked.recv(1 << 16) or b"null")

def fork(wish, told=True):
    reading, writing = os.pipe()
    between = os.fork()
    if not between:
        worker = os.fork()
        if worker:
            # Before anybody may end it.
            with open("made", "a") as made:
                made.write(f"{worker}\\n")
            if told:
                asked.send(json.dumps({"forked": wish["id"], "pid": worker}).encode())
            os._exit(0)
        os.setsid()
        code = "import signal; signal.pause()"
        os.execve(sys.executable, [sys.executable, "-c", code], wish["env"])
    os.waitpid(between, 0)
    os.close(writing)
    # Ends with the exec: the worker carries its own mark then, and holds no socket.
    os.read(reading, 1)

def fork_all():
    while wish := next_wish():
        fork(wish)

asked.send(b'{"ready": 1}')
"""

#: Tells of a worker while its keeper is stopped, and ends while it has another request to read.
LEAVES_ONE_UNREAD: Final = """
def state_of_keeper():
    with open(f"/proc/{keeper}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]

if first:
    wish = next_wish()
    asked.recv(1, socket.MSG_PEEK)
    reading, writing = os.pipe()
    if not os.fork():
        asked.close()
        os.close(writing)
        os.read(reading, 1)
        os.kill(keeper, signal.SIGCONT)
        os._exit(0)
    os.kill(keeper, signal.SIGSTOP)
    while state_of_keeper() != "T":
        time.sleep(0.001)
    fork(wish)
    asked.close()
    os.close(writing)
else:
    fork_all()
"""

#: Ends before it has told of the worker that it has made.
TELLS_NOTHING: Final = """
if first:
    fork(next_wish(), told=False)
else:
    fork_all()
"""

#: Has told of the first one that it says is lost, and not of the second one, which comes again.
LOSES_TWO: Final = """
first, second = next_wish(), next_wish()
fork(first)
for wish in (first, second):
    asked.send(json.dumps({"lost": wish["id"]}).encode())
fork(next_wish())
open("lost", "w").close()
next_wish()
"""

#: Is in the middle of a fork until the file `go` is there; each that is notes itself.
TAKES_ITS_TIME: Final = """
wish = next_wish()
if not os.fork():
    with open("held", "a") as held:
        held.write(f"{os.getpid()}\\n")
    while not os.path.exists("go"):
        time.sleep(0.01)
    fork(wish)
    os._exit(0)
os.wait()
next_wish()
"""


def ask(near: socket.socket, number: int, folder: Path, code: str) -> None:
    """Have a keeper start a command from a template that does this in a folder."""
    argv = [sys.executable, "-c", FORKS + code]
    request = {
        "op": "spawn",
        "id": number,
        "argv": ["worker"],
        "target": "",
        "env": {},
        "cwd": str(folder),
        "announce": False,
        "template": {"argv": argv, "env": {}, "cwd": str(folder), "bound": BOUND},
    }
    with open(os.devnull, "r+b") as null:
        write(near, request, *[null.fileno()] * 3)


def spawned(near: socket.socket) -> tuple[int, int]:
    """The next event, which has to be that a command runs: its number and its pid."""
    event = read(near)
    assert "spawned" == event["event"], event
    return event["id"], event["pid"]


def made(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "made").read_text().split()]


async def test_what_a_template_has_told_is_heard_though_it_left_a_request_unread(
    tmp_path: Path,
) -> None:
    with bare_keeper() as near:
        for number in (1, 2):
            ask(near, number, tmp_path, LEAVES_ONE_UNREAD)
        told = [spawned(near) for _ in range(2)]

        await until(lambda: len(made(tmp_path)) >= 2, within=BOUND)
        assert [*enumerate(made(tmp_path), 1)] == told


async def test_a_worker_that_nobody_was_told_of_does_not_live_beside_the_next(
    tmp_path: Path,
) -> None:
    with bare_keeper() as near:
        ask(near, 1, tmp_path, TELLS_NOTHING)
        number, pid = spawned(near)

        await until(lambda: len(made(tmp_path)) == 2, within=BOUND)
        untold, second = made(tmp_path)
        assert (1, second) == (number, pid)
        await until(lambda: not lives(untold), within=BOUND)
        assert lives(second)


async def test_what_a_spare_was_to_become_is_started_once_whether_it_has_told_or_not(
    tmp_path: Path,
) -> None:
    with bare_keeper() as near:
        for number in (1, 2):
            ask(near, number, tmp_path, LOSES_TWO)
        told = [spawned(near) for _ in range(2)]

        await until(lambda: (tmp_path / "lost").exists(), within=BOUND)
        assert [*zip((1, 2), made(tmp_path), strict=True)] == told


async def test_what_is_forked_though_nobody_wants_it_any_more_ends(tmp_path: Path) -> None:
    with bare_keeper() as near:
        ask(near, 1, tmp_path, TAKES_ITS_TIME)
        await until((tmp_path / "held").exists, within=BOUND)
        write(near, {"op": "signal", "id": 1, "signal": signal.SIGKILL})
        assert ("failed", errno.ECANCELED) == ((event := read(near))["event"], event["errno"])
        (tmp_path / "go").touch()
        await until((tmp_path / "made").exists, within=BOUND)
        await until(lambda: len(made(tmp_path)) == 1, within=BOUND)
        (unwanted,) = made(tmp_path)
        await until(lambda: not lives(unwanted), within=BOUND)


async def test_the_end_of_a_template_disturbs_no_fork_of_another_one(tmp_path: Path) -> None:
    slow, lost = tmp_path / "slow", tmp_path / "lost"
    slow.mkdir()
    lost.mkdir()
    with bare_keeper() as near:
        ask(near, 1, slow, TAKES_ITS_TIME)
        await until((slow / "held").exists, within=BOUND)
        ask(near, 2, lost, TELLS_NOTHING)
        assert 2 == spawned(near)[0]

        (slow / "go").touch()
        assert 1 == spawned(near)[0]
        # Nor was it ended, and made again.
        assert 1 == len((slow / "held").read_text().split())


#: What the keeper does, what it does instead, and who notices.
PLANTED: Final = [
    (
        "        except ConnectionResetError:",
        "        except ZeroDivisionError:",
        test_what_a_template_has_told_is_heard_though_it_left_a_request_unread,
    ),
    (
        'template.mark, *(f"{self._path}/{number}" for number in template.asked)',
        "template.mark",
        test_a_worker_that_nobody_was_told_of_does_not_live_beside_the_next,
    ),
    (
        "self._place(template.asked.pop(number))",
        "template.asked.pop(number)",
        test_what_a_spare_was_to_become_is_started_once_whether_it_has_told_or_not,
    ),
    (
        "                if wish.unwanted:\n",
        "                if not wish:\n",
        test_what_is_forked_though_nobody_wants_it_any_more_ends,
    ),
    (
        "/t/{next(self._numbers)}",
        "/t/1",
        test_the_end_of_a_template_disturbs_no_fork_of_another_one,
    ),
]


@pytest.mark.parametrize(("sound", "broken", "noticed"), PLANTED)
async def test_a_planted_bug_is_caught(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sound: str,
    broken: str,
    noticed: Callable[[Path], Awaitable[None]],
) -> None:
    plant(monkeypatch, tmp_path, sound, broken)
    (tmp_path / "run").mkdir()
    with pytest.raises((AssertionError, TimeoutError)):
        await noticed(tmp_path / "run")
