"""StreamLogs: a ring's records from a cursor on."""

from collections.abc import AsyncGenerator
from functools import lru_cache
from typing import Final, cast

from hsu_worker.errors import OutOfRange
from hsu_worker.gen.hsu_core import (
    LogLevel,
    LogWindow,
    StreamLogsRequest,
    StreamLogsResponse,
)
from hsu_worker.serving.logring import Entry, LogRing

#: Records of one message. A message per record would cost twenty times as much; with half as many,
#: whoever reads falls behind a worker that logs in bursts, and loses some. So many take the loop 0.8 ms.
BATCH: Final = 512
#: Bytes of one message, about; well below every message limit.
BATCH_BYTES: Final = 256 << 10

_LEVELS: Final = (10, 20, 30, 40, 50)


def log_window(ring: LogRing, instance: str, *, restarted: bool = False) -> LogWindow:
    """Where the log stands."""
    oldest, following = ring.window
    return LogWindow(instance=instance, oldest=oldest, next=following, restarted=restarted)


async def stream_logs(
    ring: LogRing, instance: str, request: StreamLogsRequest
) -> AsyncGenerator[StreamLogsResponse, None]:
    """The window, then the backlog from the cursor on, then, with `follow`, what comes.

    Raises:
        OutOfRange: The cursor is past the record to come.
    """
    restarted = bool(request.instance) and request.instance != instance
    window = log_window(ring, instance, restarted=restarted)
    # All that a new instance has logged is news to who followed another one: what its ring has
    # lost already is counted.
    cursor = 1 if restarted else request.sequence or window.oldest
    if cursor > window.next:
        raise OutOfRange(
            f"sequence {cursor} is past the record to come, {window.next}, of this instance"
        )
    yield StreamLogsResponse(window=window)
    while True:
        dropped, entries = ring.take(cursor, BATCH)
        entries = _fitting(entries)
        cursor = entries[-1].sequence + 1 if entries else cursor + dropped
        batch = StreamLogsResponse(dropped=dropped)
        for entry in entries:
            if _wanted(entry, request):
                _add(batch, entry)
        if dropped or batch.records:
            yield batch
        if cursor >= window.next and not request.follow:
            return
        if not entries:
            if ring.closed:
                return
            await ring.news(cursor)


def _fitting(entries: list[Entry]) -> list[Entry]:
    size = 0
    for count, entry in enumerate(entries):
        size += entry.size
        if size > BATCH_BYTES and count:
            return entries[:count]
    return entries


def _wanted(entry: Entry, request: StreamLogsRequest) -> bool:
    return entry.level >= request.level and (
        not request.logger
        or entry.logger == request.logger
        or entry.logger.startswith(f"{request.logger}.")
    )


def _add(batch: StreamLogsResponse, entry: Entry) -> None:
    """Make the record in its place: with keywords, and copied there, it would take four times as long."""
    record = batch.records.add()
    sequence, at, level, logger, message, fields, exception, _ = entry
    record.sequence = sequence
    seconds = int(at)
    time = record.time
    time.seconds = seconds
    time.nanos = int((at - seconds) * 1e9)
    record.level = _level(level)
    record.logger = logger
    record.message = _valid(message)
    for key, value in fields.items():
        record.fields[_valid(key)] = _valid(value)
    if exception:
        record.exception = _valid(exception)


@lru_cache
def _level(level: int) -> LogLevel:
    # A level of the program's own is told as the next one below that everybody knows.
    return cast("LogLevel", max((known for known in _LEVELS if known <= level), default=0))


def _valid(text: str) -> str:
    # Surrogates, as in the names of odd files, are no UTF-8, and protobuf refuses them.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
