"""One numbered log per unit: output and log records of all its generations, in one order."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: Characters that are kept of each unit, each line counted with what it costs to keep one.
RING_SIZE: Final = 1 << 20

#: What keeping an empty line costs.
LINE_COST: Final = 100

#: Bytes of one line; longer ones are split.
LINE_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of output, or one log record."""

    sequence: int
    """Counts from 1 for each unit, across its generations."""
    time: float
    """Seconds since the epoch."""
    generation: int
    source: str
    """`stdout`, `stderr`, or the name of a logger."""
    text: str


class UnitLog:
    """The last lines of a unit; `dropped` counts those that had to go."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque()
        self._size = 0
        self._next = 1
        self.dropped = 0

    def append(self, generation: int, source: str, text: str) -> None:
        """Add a line; the oldest go when the ring is full."""
        self._lines.append(LogLine(self._next, time.time(), generation, source, text))
        self._next += 1
        self._size += len(text) + LINE_COST
        while self._size > RING_SIZE and len(self._lines) > 1:
            self._size -= len(self._lines.popleft().text) + LINE_COST
            self.dropped += 1

    def lines(self) -> list[LogLine]:
        """All lines that are kept, oldest first."""
        return list(self._lines)

    def tail(self, generation: int, count: int = 10) -> list[str]:
        """The last lines of output of one generation, for an error message."""
        found = [
            line.text for line in self._lines if line.generation == generation and line.text.strip()
        ]
        return found[-count:]


class OutputPipe(asyncio.Protocol):
    """Reads one of a worker's pipes for ever, so that the worker never blocks on it."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Split what came into lines; bytes that are not UTF-8 are replaced."""
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        for line in lines:
            self._line(line)
        # A full line waits: when its end comes next, there is no empty line to report.
        while len(self._rest) > LINE_BYTES:
            self._line(self._rest[:LINE_BYTES])
            del self._rest[:LINE_BYTES]

    def _line(self, line: bytearray) -> None:
        for start in range(0, max(1, len(line)), LINE_BYTES):
            self._take(line[start : start + LINE_BYTES].decode("utf-8", "replace"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The last holder of the pipe's other end has closed it."""
        if self._rest:
            self._line(self._rest)
            self._rest = bytearray()
        if not self.ended.done():
            self.ended.set_result(None)
