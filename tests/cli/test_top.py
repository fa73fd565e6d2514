"""`hsu-worker top`: what units use, in a pipe, as JSON and on a terminal."""

import asyncio
import json
import os
import pty
import re
import signal
import time

import pytest

from hsu_worker.cli import top
from hsu_worker.cli.top import Look
from hsu_worker.master import Phase, UnitStatus, Usage
from tests.cli.shell import Shell, running


def unit(name: str, pid: int | None = None, cpu: float = 0.0) -> UnitStatus:
    return UnitStatus(
        unit=name,
        phase=Phase.ABSENT if pid is None else Phase.READY,
        generation=0 if pid is None else 3,
        leases=0,
        waiters=0,
        detail="",
        implements=(),
        failure="",
        retry_in=None,
        pid=pid,
        usage=None if pid is None else Usage(memory=5 << 19, cpu=cpu),
        starts=0 if pid is None else 4,
        trigger="" if pid is None else "call",
    )


def look(at: float, monkeypatch: pytest.MonkeyPatch, *units: UnitStatus) -> Look:
    monkeypatch.setattr(time, "monotonic", lambda: at)
    return Look({each.unit: each for each in units})


def test_the_share_of_a_processor_is_that_between_two_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = look(10.0, monkeypatch, unit("a"), unit("b", 7, 1.0), unit("c", 8, 5.0))
    now = look(12.0, monkeypatch, unit("a"), unit("b", 7, 2.5), unit("c", 9, 0.5))
    assert [
        "UNIT  PHASE   GENERATION  PID  CPU%   MEMORY  CALLS  WAITING  STARTS  LAST START",
        "b     ready            3    7  75.0  2.5 MiB      0        0       4  call",
        "c     ready            3    9        2.5 MiB      0        0       4  call",
        "a     absent           0                          0        0       0",
    ] == now.lines(before)
    assert [None, 75.0, None] == [each["cpu_percent"] for each in now.json(before)]


def test_what_has_no_room_is_left_out_and_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = os.terminal_size((5, 3))
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_, **__: size)
    top._draw(["123456", "2", "3"])
    assert "\x1b[H12345\x1b[K\n2\x1b[K\n3\x1b[K\x1b[J" == capsys.readouterr().out
    top._draw(["1", "2", "3", "4"])
    assert "\x1b[H1\x1b[K\n2\x1b[K\nand 2\x1b[K\x1b[J" == capsys.readouterr().out


async def test_in_a_pipe_it_is_shown_once(shell: Shell) -> None:
    async with running(shell):
        await shell.run("start", "u")
        shown = await shell.out("top", "--interval", "0.1")
        lines = await shell.out("top", "--interval", "0.1", "--json", "--count", "2")
    row = r"u +ready +1 +\d+ +\d+\.\d +\d+\.\d MiB +0 +0 +1  asked"
    assert re.fullmatch(rf"UNIT .*  LAST START\n{row}\n", shown)
    (first,), (second,) = map(json.loads, lines.splitlines())
    assert (first["pid"], 1, "asked") == (second["pid"], second["starts"], second["trigger"])
    assert second["usage"]["memory"] > 1 << 20
    assert second["usage"]["cpu"] > 0
    assert 0 <= second["cpu_percent"] <= 100 * (os.cpu_count() or 1)


async def test_on_a_terminal_it_goes_on_until_ctrl_c(shell: Shell) -> None:
    async with running(shell):
        main, terminal = pty.openpty()
        process = await shell.begin("top", "--interval", "0.1", stdout=terminal)
        os.close(terminal)
        shown = b""
        while shown.count(b"\x1b[H") < 3:
            shown += await asyncio.to_thread(os.read, main, 4096)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        os.close(main)
    assert (0, b"") == (process.returncode, errors)
    assert 3 <= shown.count(b"UNIT  PHASE ")
