"""A unit's log in a file: in order, complete or counted, and nobody's trouble."""

import asyncio
import errno
import json
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from hsu_worker.master import log_file
from hsu_worker.master.log_file import LogFile
from hsu_worker.master.logs import LogLine, UnitLog


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


def told(path: Path) -> list[str]:
    """The texts of a file; `-n` where n lines are lost."""
    return [record.get("text") or f"-{record['dropped']}" for record in records(path)]


def numbered(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


async def write(file: LogFile, *texts: str) -> UnitLog:
    log = UnitLog(file.write)
    for text in texts:
        log.append(1, "stdout", text)
    await file.close()
    return log


class Gate:
    """Holds the writer in its thread up until it is opened."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open = threading.Event()
        self.entered = asyncio.Event()

    def open(self) -> None:
        self._open.set()

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def held(*arguments: Any) -> Any:
            self._loop.call_soon_threadsafe(self.entered.set)
            assert self._open.wait(20)
            return work(*arguments)

        return held


async def test_a_line_is_a_json_object(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "unit.log"
    file = LogFile(path, size=10_000, keep=1)
    file.write(LogLine(1, 1.2345, 1, "stdout", "caf\u00e9 \x00\x1b[0m"))
    file.write(LogLine(2, 1e9, 2, "my.logger", "Traceback:\n  a line\n\udcff"))
    await file.close()
    assert (
        '{"time": "1970-01-01T00:00:01.234Z", "sequence": 1, "generation": 1,'
        ' "source": "stdout", "text": "caf\u00e9 \\u0000\\u001b[0m"}\n'
        '{"time": "2001-09-09T01:46:40.000Z", "sequence": 2, "generation": 2,'
        ' "source": "my.logger", "text": "Traceback:\\n  a line\\n\\udcff"}\n'
    ) == path.read_text("utf-8")
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


async def test_a_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "unit.log"
    await write(LogFile(path, size=10_000, keep=1), "a")
    with path.open("a") as file:
        file.write('{"time": "cut of')
    await write(LogFile(path, size=10_000, keep=1), "b", "c")
    first, cut, *rest = path.read_text().splitlines()
    assert ["a", '{"time": "cut of'] == [json.loads(first)["text"], cut]
    assert ["b", "c"] == [json.loads(line)["text"] for line in rest]


async def test_without_a_line_there_is_no_file(tmp_path: Path) -> None:
    await write(LogFile(tmp_path / "unit.log", size=1, keep=1))
    assert [] == os.listdir(tmp_path)


async def test_a_full_file_makes_room(tmp_path: Path) -> None:
    path = tmp_path / "unit.log"
    await write(LogFile(path, size=1000, keep=3), *numbered(100))
    names = ["unit.log", "unit.log.1", "unit.log.2", "unit.log.3"]
    assert names == sorted(os.listdir(tmp_path))
    sizes = [(tmp_path / name).stat().st_size for name in names]
    assert all(size <= 1000 for size in sizes)
    # A further line would not have fitted.
    assert all(size > 1000 - 120 for size in sizes[1:])
    assert all(0o600 == stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names)
    kept = [text for name in reversed(names) for text in told(tmp_path / name)]
    assert numbered(100)[-len(kept) :] == kept


async def test_a_line_that_is_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "unit.log"
    await write(LogFile(path, size=200, keep=2), "a", "x" * 500, "b")
    assert [["b"], ["x" * 500], ["a"]] == [
        told(tmp_path / name) for name in ("unit.log", "unit.log.1", "unit.log.2")
    ]


async def test_a_file_may_be_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "unit.log"
    file = LogFile(path, size=10_000, keep=1)
    log = await write(file, "a")
    path.rename(tmp_path / "moved")
    path.parent.rmdir()
    log.append(1, "stdout", "b")
    await file.close()
    assert (["a"], ["b"]) == (told(tmp_path / "moved"), told(path))


async def test_lines_that_come_faster_than_they_are_written_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "unit.log"
    file = LogFile(path, size=100_000, keep=1)
    gate = Gate()
    with (
        mock.patch.object(log_file, "BACKLOG", 1000),
        mock.patch.object(log_file, "_open", gate.around(log_file._open)),
    ):
        log = UnitLog(file.write)
        log.append(1, "stdout", "1")
        await gate.entered.wait()
        # The first is being written; ten wait; the others have no place.
        for number in range(2, 51):
            log.append(1, "stdout", str(number))
        gate.open()
        await file.close()
        log.append(1, "stdout", "51")
        await file.close()
    # Each costs what it takes to keep it: 100 and its text.
    assert [*numbered(11), "-39", "51"] == told(path)
    assert {"sequence": 12, "dropped": 39} == records(path)[11]


async def test_a_line_larger_than_the_backlog_is_written(tmp_path: Path) -> None:
    path = tmp_path / "unit.log"
    with mock.patch.object(log_file, "BACKLOG", 1000):
        await write(LogFile(path, size=100_000, keep=1), "x" * 2000, "lost")
    assert ["x" * 2000, "-1"] == told(path)


@pytest.mark.parametrize(
    ("blocker", "reason"),
    [
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, "not a regular file"),
    ],
)
async def test_a_file_that_cannot_be_written_is_told_once(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    blocker: Callable[[Path], object],
    reason: str,
) -> None:
    path = tmp_path / "unit.log"
    blocker(path)
    file = LogFile(path, size=10_000, keep=1)
    log = await write(file, *numbered(10))
    assert numbered(10) == [line.text for line in log.lines()]
    log.append(1, "stdout", "11")
    await file.close()
    message = f"log file {path}: {reason}; lines that it misses are counted in it, once it can be"
    assert [("hsu_worker.master.log_file", logging.WARNING, f"{message} written")] == (
        caplog.record_tuples
    )
    path.rename(tmp_path / "away")
    log.append(1, "stdout", "12")
    await file.close()
    assert ["-11", "12"] == told(path)
    assert 1 == len(caplog.records)


async def test_a_full_disk_costs_lines_and_leaves_no_half_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "unit.log"
    file = LogFile(path, size=10_000, keep=1)
    log = await write(file, "1")
    room = 50
    true_write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room -= (written := true_write(descriptor, data[:room]))
        return written

    with mock.patch.object(log_file, "os", SimpleNamespace(**{**vars(os), "write": full})):
        for text in ("2", "3"):
            log.append(1, "stdout", text)
        await file.close()
        assert ["1"] == told(path)
    log.append(1, "stdout", "4")
    await file.close()
    assert ["1", "-2", "4"] == told(path)
    assert 0 == room
    [record] = caplog.records
    assert f"log file {path}: No space left on device; " in record.getMessage()


async def test_lines_that_are_lost_last_are_counted_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "unit.log"
    path.mkdir()
    file = LogFile(path, size=10_000, keep=1)
    log = UnitLog(file.write)
    gate = Gate()
    with mock.patch.object(log_file, "_open", gate.around(log_file._open)):
        log.append(1, "stdout", "1")
        await gate.entered.wait()
        closing = asyncio.create_task(file.close())
        gate.open()
        await closing
    assert [] == os.listdir(path)
    path.rmdir()
    await file.close()
    assert ["-1"] == told(path)
