import asyncio
from collections.abc import AsyncGenerator

import pytest

from hsu_worker import OutOfRange
from hsu_worker.gen.hsu_core import (
    LOG_LEVEL_ERROR,
    LOG_LEVEL_INFO,
    LOG_LEVEL_UNSPECIFIED,
    LOG_LEVEL_WARNING,
    LogRecord,
    StreamLogsRequest,
    StreamLogsResponse,
)
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.logstream import stream_logs

THIS, OTHER = "1" * 32, "2" * 32


def ring_of(count: int, *, keeps: int = 1000) -> LogRing:
    ring = LogRing(ring_bytes=keeps * (64 + 10))
    for number in range(1, count + 1):
        ring.append(20, "x", f"{number:010}")
    return ring


async def all_of(ring: LogRing, request: StreamLogsRequest) -> list[StreamLogsResponse]:
    return [response async for response in stream_logs(ring, THIS, request)]


def numbers(responses: list[StreamLogsResponse]) -> list[int]:
    return [record.sequence for response in responses for record in response.records]


async def test_the_first_message_is_the_window_and_nothing_else() -> None:
    first, second = await all_of(ring_of(3), StreamLogsRequest())

    assert (first.window.instance, first.window.oldest, first.window.next) == (THIS, 1, 4)
    assert not first.window.restarted
    assert (len(first.records), first.dropped) == (0, 0)
    assert not second.HasField("window")
    assert numbers([second]) == [1, 2, 3]


async def test_an_empty_log_is_a_window_alone() -> None:
    (only,) = await all_of(LogRing(), StreamLogsRequest())

    assert (only.window.oldest, only.window.next) == (1, 1)


async def test_a_cursor_is_the_first_record_wanted() -> None:
    responses = await all_of(ring_of(5), StreamLogsRequest(sequence=4))

    assert numbers(responses) == [4, 5]


async def test_what_the_ring_has_lost_before_the_cursor_is_counted_exactly() -> None:
    responses = await all_of(ring_of(50, keeps=10), StreamLogsRequest(sequence=7))

    assert [response.dropped for response in responses] == [0, 34]
    assert numbers(responses) == list(range(41, 51))


async def test_the_oldest_is_no_loss() -> None:
    responses = await all_of(ring_of(50, keeps=10), StreamLogsRequest())

    assert [response.dropped for response in responses] == [0, 0]
    assert numbers(responses) == list(range(41, 51))


async def test_the_cursor_of_another_instance_starts_at_the_oldest_and_says_so() -> None:
    responses = await all_of(
        ring_of(50, keeps=10), StreamLogsRequest(instance=OTHER, sequence=45, follow=False)
    )

    assert responses[0].window.restarted
    # What this instance has lost already is a gap for who followed the other one.
    assert [response.dropped for response in responses] == [0, 40]
    assert numbers(responses) == list(range(41, 51))


async def test_the_cursor_of_this_instance_is_no_restart() -> None:
    responses = await all_of(ring_of(5), StreamLogsRequest(instance=THIS, sequence=5))

    assert not responses[0].window.restarted
    assert numbers(responses) == [5]


async def test_a_cursor_past_the_record_to_come_is_refused() -> None:
    assert len(await all_of(ring_of(5), StreamLogsRequest(sequence=6))) == 1
    with pytest.raises(OutOfRange) as raised:
        await all_of(ring_of(5), StreamLogsRequest(sequence=7))

    assert raised.value.message == ("sequence 7 is past the record to come, 6, of this instance")


async def test_batches_hold_512_records() -> None:
    responses = await all_of(ring_of(900), StreamLogsRequest())

    assert [len(response.records) for response in responses] == [0, 512, 388]
    assert numbers(responses) == list(range(1, 901))


async def test_batches_of_long_records_are_smaller() -> None:
    ring = LogRing(ring_bytes=4 << 20)
    for _ in range(10):
        ring.append(20, "x", "a" * 60_000)
    responses = await all_of(ring, StreamLogsRequest())

    assert [len(response.records) for response in responses] == [0, 4, 4, 2]


async def test_following_goes_on_without_gap_or_repeat() -> None:
    ring = ring_of(3)
    stream = stream_logs(ring, THIS, StreamLogsRequest(follow=True))
    seen: list[int] = []

    async def follow() -> None:
        async for response in stream:
            seen.extend(record.sequence for record in response.records)

    follower = asyncio.create_task(follow())
    for _ in range(50):
        await asyncio.sleep(0)
        ring.append(20, "x", "a")
        await asyncio.to_thread(ring.append, 20, "x", "b")
    ring.close()
    async with asyncio.timeout(10):
        await follower

    assert seen == list(range(1, 104))


async def test_what_a_slow_follower_misses_is_counted() -> None:
    ring = ring_of(3, keeps=10)
    stream = stream_logs(ring, THIS, StreamLogsRequest(follow=True))
    responses = [await anext(stream), await anext(stream)]
    for _ in range(100):
        ring.append(20, "x", "0" * 10)
    ring.close()
    responses += [response async for response in stream]

    assert [response.dropped for response in responses] == [0, 0, 91]
    assert numbers(responses) == [1, 2, 3, *range(95, 104)]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (StreamLogsRequest(level=LOG_LEVEL_WARNING), [2, 4]),
        (StreamLogsRequest(logger="a.b"), [2, 3]),
        (StreamLogsRequest(logger="a"), [1, 2, 3]),
        (StreamLogsRequest(logger="a.b", level=LOG_LEVEL_ERROR), [2]),
        (StreamLogsRequest(logger="nobody"), []),
    ],
)
async def test_records_are_chosen_by_level_and_logger(
    request_: StreamLogsRequest, expected: list[int]
) -> None:
    ring = LogRing()
    ring.append(20, "a", "1")
    ring.append(40, "a.b", "2")
    ring.append(10, "a.b.c", "3")
    ring.append(30, "ab", "4")

    assert numbers(await all_of(ring, request_)) == expected


async def test_a_loss_is_told_even_when_no_record_is_chosen() -> None:
    responses = await all_of(
        ring_of(50, keeps=10), StreamLogsRequest(sequence=1, level=LOG_LEVEL_ERROR)
    )

    assert [(response.dropped, len(response.records)) for response in responses] == [
        (0, 0),
        (40, 0),
    ]


async def test_a_record_holds_all_that_was_logged() -> None:
    ring = LogRing()
    ring.append(25, "mine", "hello", at=1234.5, fields={"k": "v"}, exception="Traceback ...")
    record = (await all_of(ring, StreamLogsRequest()))[1].records[0]

    expected = LogRecord(
        sequence=1,
        level=LOG_LEVEL_INFO,
        logger="mine",
        message="hello",
        fields={"k": "v"},
        exception="Traceback ...",
    )
    expected.time.FromMilliseconds(1_234_500)
    assert record == expected


async def test_levels_below_debug_are_unspecified_and_odd_text_is_sent() -> None:
    ring = LogRing()
    ring.append(5, "x", "broken \udcff name")
    record = (await all_of(ring, StreamLogsRequest()))[1].records[0]

    assert (record.level, record.message) == (LOG_LEVEL_UNSPECIFIED, "broken ? name")


async def test_a_closed_ring_ends_a_stream_that_follows() -> None:
    ring = ring_of(3)
    stream: AsyncGenerator[StreamLogsResponse, None] = stream_logs(
        ring, THIS, StreamLogsRequest(follow=True)
    )
    ring.close()
    responses = [response async for response in stream]

    assert numbers(responses) == [1, 2, 3]
