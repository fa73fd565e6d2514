"""One numbered log per unit: output and log records of all its generations, in one order."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

#: Characters that are kept of each unit, each line counted with what it costs to keep one.
RING_SIZE: Final = 1 << 20

#: What keeping an empty line costs.
LINE_COST: Final = 100

#: Lines of one batch. A message for each line would cost twenty times as much.
BATCH_LINES: Final = 256

#: Characters of one batch that has more than one line: as UTF-8 it fits into any message.
BATCH_SIZE: Final = 256 << 10


class LogLine(NamedTuple):
    """One line of output, or one log record. A tuple: most are dropped before somebody reads them."""

    sequence: int
    """Counts from 1 for each unit, across its generations."""
    time: float
    """Seconds since the epoch."""
    generation: int
    source: str
    """`stdout`, `stderr`, or the name of a logger."""
    text: str


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Some lines, in order and without a gap."""

    dropped: int
    """Lines that were lost right before these."""
    lines: tuple[LogLine, ...]


class UnitLog:
    """The last lines of a unit. To be used on the loop's thread.

    Args:
        sink: Takes each line too; it must neither block nor raise.
    """

    def __init__(self, sink: Callable[[LogLine], None] | None = None) -> None:
        self.taken: tuple[str, int] = ("", 0)
        """The instance whose log was last taken up, and the last record that was."""
        self.sink = sink
        self.stored: Callable[[], int] = lambda: self._next
        """The sequence number of the first line that whoever keeps them all may still lose."""
        # A list whose head is cut off now and then: slices of a deque cost their distance.
        self._lines: list[LogLine] = []
        self._first = 0
        self._size = 0
        self._next = 1
        self._closed = False
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def oldest(self) -> int:
        """The sequence number of the oldest line that is kept; `next` when there is none."""
        return self._next - len(self._lines) + self._first

    @property
    def next(self) -> int:
        """The sequence number of the line to come."""
        return self._next

    @property
    def dropped(self) -> int:
        """How many lines had to go."""
        return self.oldest - 1

    def append(self, generation: int, source: str, text: str) -> None:
        """Add a line; the oldest go when the ring is full."""
        line = LogLine(self._next, time.time(), generation, source, text)
        self._next += 1
        self._lines.append(line)
        self._size += len(text) + LINE_COST
        if self._size > RING_SIZE:
            self._shrink()
        if self.sink is not None:
            self.sink(line)
        if self._waiting:
            self._wake()

    def lines(self) -> list[LogLine]:
        """All lines that are kept, oldest first."""
        return self._lines[self._first :]

    def tail(self, generation: int, count: int = 10) -> list[str]:
        """The last lines of output of one generation, for an error message.

        A worker writes the traceback of a failure to stderr, too, lest it be lost: it is shown once.
        """
        own = [line for line in self.lines() if line.generation == generation]
        # A record with its traceback is several.
        recorded = Counter(
            text
            for line in own
            if line.source != "stderr" and "\n" in line.text
            for text in line.text.splitlines()
        )
        found: list[str] = []
        for line in reversed(own):
            texts = [text for text in line.text.splitlines() if text.strip()]
            if line.source == "stderr":
                texts = [text for text in texts if not _is_copy(text, recorded)]
            found[:0] = texts
            if len(found) >= count:
                break
        return found[-count:]

    def follow(
        self, after: int = 0, *, tail: int = 0, follow: bool = True
    ) -> AsyncGenerator[LogBatch, None]:
        """The lines after a cursor, in batches; none is missing that `dropped` doesn't count.

            async for batch in log.follow():
                cursor = batch.lines[-1].sequence       # log.follow(cursor) goes on from here

        A reader that is slow loses lines of its own, and holds nobody up.

        Args:
            after: The last sequence number that is known; 0: none. After one that is still to
                come, it begins with what comes next.

            tail: Begin this many lines before the end, when `after` is 0; 0: no bound.

            follow: Go on with what comes, until the log is closed. Otherwise it ends with the
                last line of now.
        """
        cursor = min(after, self._next - 1)
        if tail and not after:
            cursor = max(self.oldest, self._next - tail) - 1
        return self._batches(cursor, sys.maxsize if follow else self._next)

    async def _batches(self, cursor: int, end: int) -> AsyncGenerator[LogBatch, None]:
        while cursor < end - 1:
            batch = self._take(cursor, end)
            if batch.dropped or batch.lines:
                cursor += batch.dropped + len(batch.lines)
                yield batch
            elif self._closed:
                return
            else:
                await self._news()

    def _take(self, cursor: int, end: int) -> LogBatch:
        oldest = min(self.oldest, end)
        dropped = max(0, oldest - 1 - cursor)
        start = self._first + cursor + dropped + 1 - oldest
        lines = self._lines[start : start + min(BATCH_LINES, end - 1 - cursor - dropped)]
        size = 0
        for count, line in enumerate(lines):
            size += len(line.text)
            if size > BATCH_SIZE and count:
                del lines[count:]
                break
        return LogBatch(dropped, tuple(lines))

    async def _news(self) -> None:
        news = asyncio.get_running_loop().create_future()
        self._waiting.add(news)
        try:
            await news
        finally:
            self._waiting.discard(news)

    def close(self) -> None:
        """Let those who follow come to an end, once they have read everything."""
        self._closed = True
        self._wake()

    def _shrink(self) -> None:
        while self._size > RING_SIZE and self._first < len(self._lines) - 1:
            self._size -= len(self._lines[self._first].text) + LINE_COST
            self._first += 1
        # What is moved is never more than what is cut off.
        if self._first * 2 >= len(self._lines):
            del self._lines[: self._first]
            self._first = 0

    def _wake(self) -> None:
        # Nobody waits again before the loop's next step: further lines of this one wake nobody.
        waiting, self._waiting = self._waiting, set()
        for news in waiting:
            if not news.done():
                news.set_result(None)


def _is_copy(text: str, recorded: Counter[str]) -> bool:
    """Take a line of stderr off the records' lines, where it is one of them; its head names the logger."""
    for told in (text, text.partition(": ")[2]):
        if recorded[told] > 0:
            recorded[told] -= 1
            return True
    return False
