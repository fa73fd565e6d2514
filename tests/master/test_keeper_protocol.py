"""What a keeper answers on its socket: to requests that make no sense, and to forged takeovers."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from hsu_worker.errors import LaunchError
from hsu_worker.master import keeper as script
from hsu_worker.master import keeper_link
from hsu_worker.master.keeper.processes import process_line
from hsu_worker.master.keeping import Keeper
from tests.master import kept
from tests.master.kept import bare_keeper, bounded, read, start, write

ID = secrets.token_hex(8)


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
        b'{"op": "take-over"}',
        b'{"op": "signal", "id": "one", "signal": 9}',
        b'{"op": "signal", "id": 1e999, "signal": 9}',
        b'{"op": "spawn", "id": 1, "cwd": "/\\u0000", "env": {}, "argv": []}',
        b"[" * 100_000,
    ],
)
def test_a_malformed_request_does_not_end_the_keeper(body: bytes) -> None:
    with bare_keeper() as near:
        write(near, body)
        assert read(near)["event"] in ("refused", "failed")
        write(near, b'{"op": "nothing"}')
        why = "the request is malformed: ValueError(\"there is no op 'nothing'\")"
        assert {"event": "refused", "error": why} == read(near)


def test_a_refusal_names_the_request() -> None:
    with bare_keeper() as near:
        write(near, b'{"op": "spawn", "id": 17, "argv": ["true"]}')
        why = "the request is malformed: KeyError('cwd')"
        assert {"event": "refused", "error": why, "id": 17} == read(near)


async def test_a_refused_start_fails(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.plant(
        monkeypatch,
        tmp_path,
        "                self._start(request, descriptors)",
        "                raise KeyError('x')",
    )
    async with Keeper() as keeper, bounded():
        with pytest.raises(LaunchError) as caught:
            await start(keeper, "true")
    why = "the request is malformed: KeyError('x')"
    assert f"the keeper refused command 'true': {why}" == str(caught.value)


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
    with bare_keeper() as near, open(os.devnull, "r+b") as null:
        write(near, request | fields, *[null.fileno()] * 3)
        event = read(near)
        assert ("failed", 1) == (event["event"], event["id"])


TEMPLATE: dict[str, object] = {"argv": ["true"], "env": {}, "cwd": "/", "bound": 10}


@pytest.mark.parametrize(
    ("request_", "template", "why"),
    [
        ({"target": None}, {}, "KeyError('target')"),
        ({"env": 7}, {}, "AttributeError(\"'int' object has no attribute 'items'\")"),
        ({}, {"argv": None}, "KeyError('argv')"),
        ({}, {"bound": "long"}, "ValueError(\"could not convert string to float: 'long'\")"),
    ],
)
def test_a_fork_that_makes_no_sense_is_refused(
    request_: dict[str, object], template: dict[str, object], why: str
) -> None:
    def whole(fields: dict[str, object], changed: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in (fields | changed).items() if value is not None}

    spawn: dict[str, object] = {"op": "spawn", "id": 1, "argv": ["true"], "env": {}}
    spawn |= {"cwd": "/", "target": "true"}
    asked = whole(spawn | {"template": whole(TEMPLATE, template)}, request_)
    with bare_keeper() as near, open(os.devnull, "r+b") as null:
        write(near, asked, *[null.fileno()] * 3)
        error = f"the request is malformed: {why}"
        assert {"event": "refused", "error": error, "id": 1} == read(near)
        write(near, spawn, *[null.fileno()] * 3)
        assert ("spawned", 1) == ((event := read(near))["event"], event["id"])


def test_descriptors_belong_to_the_frame_that_they_came_with() -> None:
    request = {"op": "spawn", "id": 1, "argv": ["true"], "env": {}, "cwd": "/", "x": "x" * 100_000}
    reading, writing = os.pipe()
    with bare_keeper() as near, open(os.devnull, "r+b") as null:
        # One descriptor is missing, as when the keeper has no number free for it.
        write(near, request, *[null.fileno()] * 2)
        write(
            near, {**request, "id": 2, "argv": ["echo", "x"]}, null.fileno(), writing, null.fileno()
        )
        os.close(writing)
        event = read(near)
        assert ("failed", 1, "the keeper has no free file descriptors") == (
            event["event"],
            event["id"],
            event["error"],
        )
        assert ("spawned", 2) == ((event := read(near))["event"], event["id"])
        assert "x\n" == kept.read_line(reading)
    os.close(reading)


@contextmanager
def stranger(mark: str | None) -> Generator[subprocess.Popen[bytes]]:
    """A process that no keeper has started."""
    environment = {} if mark is None else {script.MARK: mark}
    with subprocess.Popen(["sleep", "60"], env=environment, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def inherited(**fields: object) -> dict[str, object]:
    """What a keeper is told of the command of number 1."""
    mark = {"mark": f"{ID}/1", "outlives": False}
    return {"id": 1, "pid": 0, "start": 0, "exited": False, "signals": []} | mark | fields


def told(process: subprocess.Popen[bytes], **fields: object) -> dict[str, object]:
    """A request to take over a process as the command of number 1."""
    line = process_line(process.pid)
    assert line is not None
    return {"op": "take-over", "units": [inherited(pid=process.pid, start=line.start) | fields]}


def events(near: socket.socket, last: str) -> list[tuple[str, object]]:
    """What the keeper tells until an event has come, without the answers to signals."""
    found: list[tuple[str, object]] = []
    while not found or found[-1][0] != last:
        event = read(near)
        if event["event"] != "signalled":
            found.append((event["event"], event.get("code", "-")))
    return found


def test_a_proven_process_is_taken_over() -> None:
    with stranger(f"{ID}/1") as process, bare_keeper(ID) as near:
        write(near, told(process, signals=[signal.SIGTERM]))
        process.wait(kept.BOUND)
        assert [("exited", None), ("gone", "-")] == events(near, "gone")


@pytest.mark.parametrize(
    "mark",
    [None, "0123456789abcdef/1", f"x{ID}/1", f"{ID[1:]}/1"],
    ids=["no mark", "another mark", "a longer mark", "a shorter mark"],
)
@pytest.mark.parametrize("start", ["right", "wrong"])
def test_a_process_without_the_mark_is_not_signalled(mark: str | None, start: str) -> None:
    with stranger(mark) as process:
        with bare_keeper(ID) as near:
            fields = {} if start == "right" else {"start": 1}
            write(near, told(process, signals=[signal.SIGTERM, signal.SIGKILL], **fields))
            assert [("exited", None), ("gone", "-")] == events(near, "gone")
        # The keeper has left, and what it knew was ended with it.
        assert process.poll() is None
        assert kept.lives(process.pid)


def test_a_process_with_another_start_is_not_the_leader() -> None:
    with stranger(f"{ID}/1") as process, bare_keeper(ID) as near:
        write(near, told(process, start=1))
        assert [("exited", None)] == events(near, "exited")


def test_a_process_of_another_number_is_not_signalled() -> None:
    with stranger(f"{ID}/11") as process, bare_keeper(ID) as near:
        write(near, told(process, signals=[signal.SIGKILL]))
        assert [("exited", None), ("gone", "-")] == events(near, "gone")
        assert process.poll() is None


def test_what_a_dead_keeper_was_making_is_ended_before_its_exec_too() -> None:
    # Until its exec it has the environment of the keeper, in which the number is not yet there.
    with stranger(f"outer/3/{ID}") as process, bare_keeper(f"outer/3/{ID}") as near:
        write(near, {"op": "take-over", "units": [inherited()]})
        assert [("gone", "-")] == events(near, "gone")
        assert -signal.SIGKILL == process.wait(kept.BOUND)


def test_what_no_keeper_was_told_of_ends_with_the_master() -> None:
    with stranger(f"outer/3/{ID}/7") as process, stranger("outer/3/8") as other:
        with bare_keeper(f"outer/3/{ID}"):
            pass
        assert -signal.SIGKILL == process.wait(kept.BOUND)
        assert other.poll() is None


async def test_what_a_keeper_takes_over_is_there_before_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A master that is killed right after it has made one leaves behind a keeper that knows whom to spare.
    there: list[bytes] = []
    start_it: Any = subprocess.Popen

    def popen(*args: Any, stdin: int, **more: Any) -> Any:
        with socket.socket(fileno=os.dup(stdin)) as far:
            there.append(far.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        return start_it(*args, stdin=stdin, **more)

    with stranger(f"{ID}/1") as spared, stranger(f"{ID}/2") as bound:
        first = told(spared, outlives=True)
        modules = SimpleNamespace(**vars(subprocess) | {"Popen": popen})
        monkeypatch.setattr(keeper_link, "subprocess", modules)
        link = keeper_link.KeeperLink(ID, lambda _: None, lambda _: None, first)
        assert first == json.loads(there[0][script.HEADER.size :])
        assert await link.close()
        assert -signal.SIGKILL == bound.wait(kept.BOUND)
        assert spared.poll() is None


def test_a_keeper_that_can_not_look_leaves_the_takeover_to_the_next(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.plant(
        monkeypatch,
        tmp_path,
        "        line = process_line(unit.pid)\n        if line",
        "        raise OSError(24, 'no more')\n        if line",
    )
    near, far = socket.socketpair()
    with stranger(f"{ID}/1") as process, near, far:
        with subprocess.Popen(
            [sys.executable, "-I", "-S", script.PROGRAM, str(os.getpid())],
            stdin=far.fileno(),
            stderr=subprocess.PIPE,
            env={**os.environ, script.MARK: ID},
        ) as keeper:
            far.close()
            write(near, told(process))
            assert keeper.stderr is not None
            assert b"the keeper can't take over: [Errno 24] no more\n" == keeper.stderr.read()
        assert 1 == keeper.returncode
        assert process.poll() is None
