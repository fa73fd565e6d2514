"""Reads what a worker writes to its pipes."""

import asyncio
import os
from collections.abc import Callable
from typing import Final

#: Bytes of one line; longer ones are split, between two characters.
LINE_BYTES: Final = 64 << 10


async def read_pipe(reader: asyncio.Protocol) -> tuple[asyncio.ReadTransport, int]:
    """Make a pipe and read its one end for ever; returns the reading, and the other end.

    Raises:
        OSError: There are no free descriptors.
    """
    ours, theirs = os.pipe()
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: reader, os.fdopen(ours, "rb", 0)
        )
    except BaseException:
        os.close(theirs)
        raise
    return transport, theirs


class OutputPipe(asyncio.Protocol):
    """Reads one of a worker's pipes for ever, so that the worker never blocks on it.

    Args:
        take: Gets each line, without its end (LF, or CR and LF). Bytes that are not UTF-8 are
            replaced; all other characters stay.
    """

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Split what came into lines."""
        first, *following = data.split(b"\n")
        self._add(first)
        for start in following:
            if self._rest.endswith(b"\r"):
                del self._rest[-1]
            self._take(self._rest.decode("utf-8", "replace"))
            self._rest.clear()
            self._add(start)

    @property
    def pending(self) -> int:
        """Bytes that came, and are no whole line yet."""
        return len(self._rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """The last holder of the pipe's other end has closed it."""
        while self._rest:
            self._part()
        if not self.ended.done():
            self.ended.set_result(None)

    def _add(self, data: bytes) -> None:
        self._rest += data
        # A full line waits: when its end comes next, there is no empty line to report.
        while len(self._rest) - self._rest.endswith(b"\r") > LINE_BYTES:
            self._part()

    def _part(self) -> None:
        end = _cut(self._rest)
        self._take(self._rest[:end].decode("utf-8", "replace"))
        del self._rest[:end]


def _cut(line: bytearray) -> int:
    """Where the first part of a line ends: at the greatest length, or before a character there."""
    if len(line) <= LINE_BYTES:
        return len(line)
    for end in range(LINE_BYTES, LINE_BYTES - 4, -1):
        if line[end] & 0xC0 != 0x80:
            return end
    # No character has four bytes after its first: the one here belongs to none.
    return LINE_BYTES
