"""The output of a worker that may outlive the master: files, read as they grow.

A pipe ends with its reader: the worker's next line would be its death, or lost. A process between
them could be killed, too. A file takes whatever comes, and where it was read last stands beside it.
"""

import asyncio
import ctypes
import mmap
import os
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hsu_worker.master.logs import UnitLog
from hsu_worker.master.output import OutputPipe
from hsu_worker.master.output_pipes import OutputPipes

#: Seconds between two looks: right after something came, and when nothing has for a while.
QUICK: Final = 0.02
SLOW: Final = 0.2
#: Bytes that are read at a time, and those that are given back to the file system at a time.
CHUNK: Final = 256 << 10
GIVE_BACK: Final = 1 << 20
#: Positions that wait until the log has stored what is before them.
POSITIONS: Final = 10_000
#: Seconds that a log may take to store the last lines when the master leaves.
SETTLE: Final = 2.0

_SLOT: Final = struct.Struct("<Q")
_SLOTS: Final = 3
#: The slot of the last log record that was taken; see `OutputFiles.records`.
_RECORDS: Final = 2
#: FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE, see fallocate(2).
_PUNCH: Final = 0x01 | 0x02


class OutputFiles(OutputPipes):
    """Pipes, and files that are read for as long as it is not closed.

    Args:
        cursor: A file that tells how much has been read and kept; a killed process leaves it as it is.

        instance: Whose log records the log takes.

        log: Where the lines go, and the records: what it has not stored is read again.
    """

    def __init__(self, cursor: Path, instance: str, log: Callable[[], UnitLog]) -> None:
        super().__init__()
        descriptor = os.open(cursor, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(descriptor).st_size < _SLOT.size * _SLOTS:
                os.ftruncate(descriptor, _SLOT.size * _SLOTS)
            self._cursor = mmap.mmap(descriptor, _SLOT.size * _SLOTS)
        finally:
            os.close(descriptor)
        self._files: list[_Growing] = []
        self._instance = instance
        self._log = log
        self._records = self.records
        # What to write into which slot, once the log has stored what comes before a line. The last of
        # them says it all: where nothing can be stored, the first ones go.
        self._positions: deque[tuple[int, int, int]] = deque(maxlen=POSITIONS)
        self._reading: asyncio.Task[None] | None = None

    @property
    def records(self) -> int:
        """The last log record that was taken, by this master or the one before."""
        return int(_SLOT.unpack_from(self._cursor, _RECORDS * _SLOT.size)[0])

    def follow(self, path: Path, take: Callable[[str], None]) -> int:
        """Read a file from where it was read last; `take` gets each line. Returns a descriptor to append to.

        Raises:
            OSError: It can't be opened.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        appending = os.open(path, flags, 0o600)
        try:
            (start,) = _SLOT.unpack_from(self._cursor, len(self._files) * _SLOT.size)
            file = _Growing(path, OutputPipe(take), start)
        except BaseException:
            os.close(appending)
            raise
        self._files.append(file)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        return appending

    async def _read(self) -> None:
        pause = QUICK
        while True:
            moved = self._look()
            pause = QUICK if moved else min(2 * pause, SLOW)
            await asyncio.sleep(0 if moved else pause)

    def _look(self) -> bool:
        """Take what has come; whether something has."""
        moved = False
        for slot, file in enumerate(self._files):
            if file.read():
                moved = True
                self._positions.append((self._log().next, slot, file.taken))
        self._note_stored()
        return moved

    def _note_stored(self) -> None:
        log = self._log()
        instance, record = log.taken
        if instance == self._instance and record != self._records:
            self._records = record
            self._positions.append((log.next, _RECORDS, record))
        stored = log.stored()
        while self._positions and self._positions[0][0] <= stored:
            _, slot, position = self._positions.popleft()
            _SLOT.pack_into(self._cursor, slot * _SLOT.size, position)
            if slot != _RECORDS:
                self._files[slot].give_back(position)

    async def settled(self) -> None:
        """Look for a last time, and wait until what was read is stored, for `SETTLE` at the most."""
        self._stop()
        self._look()
        for _ in range(int(SETTLE / QUICK)):
            self._note_stored()
            if not self._positions:
                break
            await asyncio.sleep(QUICK)

    async def drained(self, *more: asyncio.Future[Any] | None) -> None:
        """Wait for the pipes, and read the files to their ends: nobody writes any more."""
        await super().drained(*more)
        while self._look():  # noqa: ASYNC110  there is always something
            await asyncio.sleep(0)
        for file in self._files:
            file.reader.connection_lost(None)

    def close(self) -> None:
        """Read no more. A line without an end is left for whoever reads next."""
        super().close()
        self._stop()
        self._cursor.close()
        for file in self._files:
            file.close()
        self._files.clear()

    def _stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


class _Growing:
    """One file: how far it was read, and how far it was given back."""

    def __init__(self, path: Path, reader: OutputPipe, start: int) -> None:
        self.reader = reader
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        # Somebody may have emptied the file.
        self._read = self._given_back = min(start, os.fstat(self._descriptor).st_size)

    @property
    def taken(self) -> int:
        """Where to go on: a line that is not whole yet is read again by the next one."""
        return self._read - self.reader.pending

    def read(self) -> bool:
        """Take what has come; whether something has."""
        data = os.pread(self._descriptor, CHUNK, self._read)
        self._read += len(data)
        if data:
            self.reader.data_received(data)
        return bool(data)

    def give_back(self, position: int) -> None:
        """Nobody reads again what is before a position: let the file system have the room."""
        if position - self._given_back > GIVE_BACK:
            _punch(self._descriptor, self._given_back, position - self._given_back)
            self._given_back = position

    def close(self) -> None:
        os.close(self._descriptor)


def _punch(descriptor: int, start: int, length: int) -> None:
    """Make a hole of what was read. Where the file system can't, the file only takes more room."""
    with suppress(AttributeError, OSError):
        fallocate = ctypes.CDLL(None).fallocate
        fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        fallocate(descriptor, _PUNCH, start, length)
