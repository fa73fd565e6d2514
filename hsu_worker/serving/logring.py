"""The last log records of this process, in memory, numbered from 1."""

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

#: What the ring holds at the most, in bytes; the oldest records make room.
RING_BYTES: Final = 1 << 20

#: What a record takes beside its texts, about.
_OVERHEAD: Final = 64

#: What every record has; the rest came by `extra=`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

#: How many attributes a record has that nobody has added something to.
_PLAIN: Final = len(vars(logging.makeLogRecord({})))

_NO_FIELDS: Final[Mapping[str, str]] = {}

_FORMATTER: Final = logging.Formatter()


class Entry(NamedTuple):
    """One record."""

    sequence: int
    time: float
    level: int
    logger: str
    message: str
    fields: Mapping[str, str]
    exception: str
    size: int


class LogRing:
    """Keeps records up to a number of bytes; may be written from any thread.

    It needs no event loop until somebody follows it; without followers a record costs no
    wake-up.
    """

    def __init__(self, *, ring_bytes: int = RING_BYTES, line_bytes: int = 64 << 10) -> None:
        self.line_bytes = line_bytes
        # Re-entrant: a signal handler may log while its thread is in here.
        self._lock = threading.RLock()
        self._ring_bytes = ring_bytes
        # Room is made for many at once: else each record of a full ring would pay for a turn of it.
        self._kept_bytes = ring_bytes - ring_bytes // 16
        self._loop: asyncio.AbstractEventLoop | None = None
        # Entries as mere tuples: they are made by the thousand and hardly ever looked at. A list whose
        # head is cut off now and then: slices of a deque cost their distance.
        self._entries: list[tuple[Any, ...]] = []
        self._first = 0
        self._bytes = 0
        self._next = 1
        self._followers = 0
        self._woken = False
        self._news = asyncio.Event()
        self.closed = False

    @property
    def window(self) -> tuple[int, int]:
        """The oldest sequence number still kept, and the next to come."""
        with self._lock:
            return self._next - (len(self._entries) - self._first), self._next

    def append(
        self,
        level: int,
        logger: str,
        message: str,
        *,
        at: float | None = None,
        fields: Mapping[str, str] | None = None,
        exception: str = "",
    ) -> None:
        """Keep one record; texts longer than a line may be are cut, and say so."""
        kept = _NO_FIELDS
        # Whoever logs waits for this: most records are short, and have nothing but a message.
        size = len(message)
        if size > self.line_bytes or not message.isascii():
            message = self._cut(message)
            size = _size(message)
        size += _OVERHEAD
        if exception:
            exception = self._cut(exception)
            size += _size(exception)
        if fields:
            kept = {key: self._cut(value) for key, value in fields.items()}
            size += sum(_size(key) + _size(value) for key, value in kept.items())
        if at is None:
            at = time.time()
        with self._lock:
            number = self._next
            self._next = number + 1
            self._entries.append((number, at, level, logger, message, kept, exception, size))
            self._bytes += size
            if self._bytes > self._ring_bytes:
                self._make_room()
            wake = self._followers > 0 and not self._woken
            if wake:
                self._woken = True
        if wake:
            self._wake()

    def take(self, cursor: int, most: int) -> tuple[int, list[Entry]]:
        """The records from `cursor` on, at most so many, and how many before them are lost."""
        with self._lock:
            oldest = self._next - (len(self._entries) - self._first)
            dropped = max(0, oldest - cursor)
            start = self._first + max(cursor, oldest) - oldest
            found = self._entries[start : start + most]
        return dropped, [Entry._make(each) for each in found]

    async def news(self, cursor: int) -> None:
        """Wait until there is a record at `cursor`, or the ring is closed."""
        self._loop = asyncio.get_running_loop()
        self._followers += 1
        try:
            while self.window[1] <= cursor and not self.closed:
                await self._news.wait()
        finally:
            self._followers -= 1

    def close(self) -> None:
        """Let those who follow it come to an end, once they have seen everything."""
        self.closed = True
        self._tell()

    def _make_room(self) -> None:
        # The newest stays, however long it is.
        while self._bytes > self._kept_bytes and self._first < len(self._entries) - 1:
            self._bytes -= self._entries[self._first][-1]
            self._first += 1
        if self._first * 2 > len(self._entries):
            del self._entries[: self._first]
            self._first = 0

    def _wake(self) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._tell)
        except RuntimeError:
            # The loop has ended, and with it whoever followed.
            return

    def _tell(self) -> None:
        with self._lock:
            self._woken = False
        self._news.set()
        self._news.clear()

    def _cut(self, text: str) -> str:
        if len(text) * 4 <= self.line_bytes or (size := _size(text)) <= self.line_bytes:
            return text
        kept = text.encode("utf-8", "replace")[: self.line_bytes].decode("utf-8", "ignore")
        return f"{kept} [cut: {size} bytes]"


class RingHandler(logging.Handler):
    """Puts the program's log records into a ring, with their `extra=` fields."""

    def __init__(self, ring: LogRing) -> None:
        super().__init__()
        self._ring = ring

    def createLock(self) -> None:  # noqa: N802  the name that logging gave it
        """None: the ring has its own."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record. Its texts are made now: arguments may change, and tracebacks hold memory."""
        try:
            traced = record.exc_info or record.exc_text or record.stack_info
            if len(vars(record)) == _PLAIN and not traced:
                message = record.getMessage()
                self._ring.append(record.levelno, record.name, message, at=record.created)
                return
            self._ring.append(
                record.levelno,
                record.name,
                record.getMessage(),
                at=record.created,
                fields=fields_of(record),
                exception=exception_of(record),
            )
        except Exception:
            self.handleError(record)


def extra_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was given by `extra=`."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def fields_of(record: logging.LogRecord) -> dict[str, str]:
    """As `extra_of`, as text."""
    return {name: _text(value) for name, value in extra_of(record).items()}


def exception_of(record: logging.LogRecord) -> str:
    """The traceback, and the stack, that a record has; empty when it has none."""
    exception = record.exc_text or ""
    if record.exc_info:
        exception = _FORMATTER.formatException(record.exc_info)
    return f"{exception}\n{record.stack_info or ''}".strip("\n")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        import json

        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
