import asyncio
import logging
import threading
from collections.abc import Generator
from pathlib import Path
from unittest.mock import patch

import pytest

from hsu_worker.serving.logring import Entry, LogRing, RingHandler


@pytest.fixture
def log() -> Generator[logging.Logger, None, None]:
    # Outside the tree, so that pytest's own handler doesn't see the records.
    logger = logging.Logger("test.log")  # noqa: LOG001
    yield logger
    logger.handlers.clear()


def into_ring(log: logging.Logger) -> LogRing:
    ring = LogRing()
    log.addHandler(RingHandler(ring))
    return ring


def entries(ring: LogRing) -> list[Entry]:
    return ring.take(1, 10_000)[1]


def test_records_are_numbered_from_1(log: logging.Logger) -> None:
    ring = into_ring(log)
    assert ring.window == (1, 1)
    log.info("one %s", 1)
    log.warning("two")

    assert [(e.sequence, e.level, e.logger, e.message) for e in entries(ring)] == [
        (1, 20, "test.log", "one 1"),
        (2, 30, "test.log", "two"),
    ]
    assert ring.window == (1, 3)


def test_extra_fields_are_kept_as_text_or_json(log: logging.Logger) -> None:
    ring = into_ring(log)
    log.info(
        "x", extra={"text": "a b", "number": 3, "list": [1, None], "path": Path("/a"), "é": "ü"}
    )

    assert entries(ring)[0].fields == {
        "text": "a b",
        "number": "3",
        "list": "[1, null]",
        "path": "/a",
        "é": "ü",
    }


def test_a_record_without_extra_has_no_fields(log: logging.Logger) -> None:
    ring = into_ring(log)
    log.addHandler(logging.NullHandler())
    log.handlers[-1].setFormatter(logging.Formatter("%(asctime)s"))
    log.info("x")

    assert entries(ring)[0].fields == {}


def test_an_exception_keeps_its_traceback(log: logging.Logger) -> None:
    ring = into_ring(log)
    try:
        int("bad")
    except ValueError:
        log.exception("failed", stack_info=True)

    entry = entries(ring)[0]
    assert entry.exception.startswith("Traceback (most recent call last):\n")
    assert "ValueError: invalid literal" in entry.exception
    assert "Stack (most recent call last):" in entry.exception


def test_a_traceback_that_came_as_text_is_kept(log: logging.Logger) -> None:
    """As a record has it that another process has sent."""
    ring = into_ring(log)
    sent = {
        "name": log.name,
        "msg": "failed",
        "levelno": logging.ERROR,
        "exc_text": "Traceback ...",
    }
    log.handle(logging.makeLogRecord(sent))
    assert "Traceback ..." == entries(ring)[0].exception


def test_a_record_that_cannot_be_formatted_does_no_harm(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = into_ring(log)
    log.info("%d", "not a number")
    log.info("fine")

    assert [e.message for e in entries(ring)] == ["fine"]
    assert "--- Logging error ---" in capsys.readouterr().err


def test_a_long_message_is_cut_and_says_so() -> None:
    ring = LogRing(line_bytes=10)
    ring.append(20, "x", "0123456789")
    ring.append(20, "x", "0123456789a")
    ring.append(20, "x", "ééééééé", exception="0" * 20, fields={"k": "1" * 11})

    first, second, third = entries(ring)
    assert first.message == "0123456789"
    assert second.message == "0123456789 [cut: 11 bytes]"
    assert third.message == "ééééé [cut: 14 bytes]"
    assert third.exception == "0000000000 [cut: 20 bytes]"
    assert third.fields == {"k": "1111111111 [cut: 11 bytes]"}


def test_the_oldest_records_make_room_and_are_counted() -> None:
    ring = LogRing(ring_bytes=10 * (64 + 36))
    for number in range(1, 5001):
        ring.append(20, "x", f"{number:036}")

    oldest, following = ring.window
    dropped, kept = ring.take(1, 100)
    assert (oldest, following) == (4991, 5001)
    assert dropped == 4990
    assert [int(entry.message) for entry in kept] == list(range(4991, 5001))
    assert ring.take(4995, 2) == (0, kept[4:6])
    assert ring.take(5001, 2) == (0, [])


def test_a_record_larger_than_the_ring_is_kept_alone() -> None:
    ring = LogRing(ring_bytes=100)
    ring.append(20, "x", "a")
    ring.append(20, "x", "b" * 1000)

    assert ring.window == (2, 3)


def test_memory_is_bounded_when_records_are_dropped() -> None:
    ring = LogRing(ring_bytes=100_000)
    for _ in range(50_000):
        ring.append(20, "x", "a" * 36)

    assert len(ring._entries) < 5_000


async def test_a_follower_is_woken_from_any_thread() -> None:
    ring = LogRing()
    follower = asyncio.create_task(ring.news(1))
    await asyncio.sleep(0)
    await asyncio.to_thread(ring.append, 20, "x", "a")

    async with asyncio.timeout(10):
        await follower


async def test_no_record_is_missed_between_looking_and_waiting() -> None:
    ring = LogRing(ring_bytes=1 << 30)
    count = 20_000

    def write() -> None:
        for number in range(count):
            ring.append(20, "x", str(number))

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    cursor = 1
    async with asyncio.timeout(30):
        while cursor <= count * 2:
            await ring.news(cursor)
            dropped, batch = ring.take(cursor, 256)
            assert (dropped, batch[0].sequence) == (0, cursor)
            cursor = batch[-1].sequence + 1
    for writer in writers:
        writer.join()


async def test_nobody_is_woken_when_nobody_follows() -> None:
    ring = LogRing()
    await asyncio.wait_for(_one_record(ring), 10)
    woken: list[object] = []
    with patch.object(asyncio.get_running_loop(), "call_soon_threadsafe", woken.append):
        ring.append(20, "x", "a")

    assert woken == []


async def _one_record(ring: LogRing) -> None:
    waiting = asyncio.create_task(ring.news(1))
    await asyncio.sleep(0)
    ring.append(20, "x", "first")
    await waiting


async def test_closing_ends_the_wait() -> None:
    ring = LogRing()
    follower = asyncio.create_task(ring.news(1))
    await asyncio.sleep(0)
    ring.close()

    async with asyncio.timeout(10):
        await follower
