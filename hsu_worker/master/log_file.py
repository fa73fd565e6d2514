"""A unit's log in a file: JSON Lines, with rotation."""

import asyncio
import errno
import json
import logging
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hsu_worker.master.logs import LINE_COST, LogLine

log = logging.getLogger(__name__)

#: Characters that wait to be written, about; what comes on top is lost, and counted.
BACKLOG: Final = 4 << 20

_encode = json.JSONEncoder(ensure_ascii=False).encode


class LogFile:
    """Writes the lines of one `UnitLog`, without holding up the loop.

        file = LogFile(Path("echo.log"), size=10 << 20, keep=3)
        log = UnitLog(file.write)

    Each line is a JSON object with the keys `time`, `sequence`, `generation`, `source` and `text`.
    Where lines are lost, `{"sequence": n, "dropped": count}` stands for them; `n` is the first.
    That a file can't be written is logged once; it is tried again with what comes next.

    Args:
        path: Made with mode 0600, and its folders with it, when the first line comes.

        size: Bytes that it may have; it is then renamed to `NAME.1`, that to `NAME.2`, and so on.

        keep: How many of these are kept.

        first: The sequence number of the first line that it gets.
    """

    def __init__(self, path: Path, *, size: int, keep: int, first: int = 1) -> None:
        self._path = path
        self._limit = size
        self._keep = keep
        self._backlog: list[LogLine] = []
        self._waiting = 0
        #: What `write` got last, and what the file has to have next: between them lines are lost.
        self._last = first - 1
        self._next = first
        self._warned = False
        self._writer: asyncio.Task[None] | None = None

    @property
    def next(self) -> int:
        """The sequence number of the first line that is not in the file yet, nor counted there."""
        return self._next

    def bound(self, *, size: int, keep: int) -> None:
        """Rotate in another way from the next line on."""
        self._limit, self._keep = size, keep

    def write(self, line: LogLine) -> None:
        """Have a line written soon; it may get lost when lines come faster than they are written."""
        self._last = line.sequence
        if self._waiting < BACKLOG:
            self._backlog.append(line)
            self._waiting += len(line.text) + LINE_COST
            if self._writer is None:
                self._writer = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Wait until everything is written."""
        if self._writer is not None:
            await self._writer
        if self._next <= self._last:
            await asyncio.to_thread(self._put, [], self._last)

    async def _write(self) -> None:
        while self._backlog:
            lines, self._backlog, self._waiting = self._backlog, [], 0
            await asyncio.to_thread(self._put, lines, self._last)
        self._writer = None

    def _put(self, lines: list[LogLine], last: int) -> None:
        try:
            self._put_records(self._records(lines, last))
        except OSError as error:
            if not self._warned:
                self._warned = True
                log.warning(
                    "log file %s: %s; lines that it misses are counted in it, once it can be written",
                    self._path,
                    error.strerror,
                )

    def _records(self, lines: list[LogLine], last: int) -> list[tuple[int, bytes]]:
        """Each with the sequence number that comes after it."""
        records: list[tuple[int, bytes]] = []
        following = self._next
        for line in lines:
            if line.sequence > following:
                records.append((line.sequence, _mark(following, line.sequence)))
            following = line.sequence + 1
            records.append((following, _record(line)))
        if last >= following:
            records.append((last + 1, _mark(following, last + 1)))
        return records

    def _put_records(self, records: list[tuple[int, bytes]]) -> None:
        while records:
            # Opened for each batch: so it may be moved, deleted, or come back, at any time.
            descriptor = _open(self._path)
            try:
                records = records[self._fill(descriptor, records) :]
            finally:
                os.close(descriptor)
            if records:
                self._rotate()

    def _fill(self, descriptor: int, records: list[tuple[int, bytes]]) -> int:
        """Write as many records as the file has room for; an empty one has room for any."""
        old = size = os.fstat(descriptor).st_size
        chunk = bytearray()
        if old and os.pread(descriptor, 1, old - 1) != b"\n":
            # A writer was killed within a line.
            chunk += b"\n"
            size += 1
        count = 0
        for _, record in records:
            if size and size + len(record) > self._limit:
                break
            chunk += record
            size += len(record)
            count += 1
        if count:
            try:
                _write(descriptor, chunk)
            except OSError:
                # What is counted as lost must not be there in part.
                with suppress(OSError):
                    os.ftruncate(descriptor, old)
                raise
            self._next = records[count - 1][0]
        return count

    def _rotate(self) -> None:
        for number in range(self._keep, 1, -1):
            with suppress(FileNotFoundError):
                os.replace(f"{self._path}.{number - 1}", f"{self._path}.{number}")
        os.replace(self._path, f"{self._path}.1")


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    # For reading too: the end of the last line is looked at, and a pipe's opening waits for nobody.
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def _write(descriptor: int, data: bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _record(line: LogLine) -> bytes:
    at = datetime.fromtimestamp(line.time, UTC).isoformat(timespec="milliseconds")
    return _line(
        {
            "time": at.replace("+00:00", "Z"),
            "sequence": line.sequence,
            "generation": line.generation,
            "source": line.source,
            "text": line.text,
        }
    )


def _mark(first: int, following: int) -> bytes:
    return _line({"sequence": first, "dropped": following - first})


def _line(record: dict[str, object]) -> bytes:
    # Half a surrogate, as in the names of odd files, becomes the escape that JSON has for it.
    return f"{_encode(record)}\n".encode("utf-8", "backslashreplace")
