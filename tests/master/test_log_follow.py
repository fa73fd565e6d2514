"""Whoever follows a unit's log misses nothing that isn't counted, and nobody waits for him."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsu_worker.master import logs
from hsu_worker.master.logs import (
    BATCH_LINES,
    BATCH_SIZE,
    LINE_COST,
    RING_SIZE,
    LogBatch,
    UnitLog,
)


def filled(count: int, text: str = "") -> UnitLog:
    log = UnitLog()
    for _ in range(count):
        log.append(1, "stdout", text)
    return log


def numbers(batch: LogBatch) -> list[int]:
    return [line.sequence for line in batch.lines]


async def told(batches: AsyncGenerator[LogBatch, None]) -> list[tuple[int, list[int]]]:
    """What is dropped and what is told, batch by batch, to the end."""
    return [(batch.dropped, numbers(batch)) async for batch in batches]


async def waiting(follower: AsyncGenerator[LogBatch, None]) -> asyncio.Task[LogBatch]:
    """A follower that has read everything, and waits for the next batch."""

    async def following() -> LogBatch:
        return await anext(follower)

    task = asyncio.create_task(following())
    await asyncio.sleep(0)  # it runs until it waits
    assert not task.done()
    return task


@pytest.mark.parametrize(
    ("after", "tail", "expected"),
    [
        (0, 0, [1, 2, 3, 4, 5]),
        (3, 0, [4, 5]),
        (0, 2, [4, 5]),
        (0, 9, [1, 2, 3, 4, 5]),
        (1, 2, [2, 3, 4, 5]),
    ],
)
async def test_it_begins_after_the_cursor_or_with_the_tail(
    after: int, tail: int, expected: list[int]
) -> None:
    assert [(0, expected)] == await told(filled(5).follow(after, tail=tail, follow=False))


@pytest.mark.parametrize("after", [5, 6, 1000])
async def test_after_the_last_line_it_begins_with_what_comes(after: int) -> None:
    log = filled(5)
    assert [] == await told(log.follow(after, follow=False))
    task = await waiting(log.follow(after))
    log.append(1, "stdout", "new")
    assert [6] == numbers(await task)


async def test_an_old_cursor_is_told_what_it_has_lost() -> None:
    log = filled(10, "x" * (RING_SIZE // 4 - LINE_COST))
    assert (7, 6) == (log.oldest, log.dropped)
    kept = [7, 8, 9, 10]
    for after, tail, dropped in [(0, 0, 6), (2, 0, 4), (6, 0, 0), (0, 10, 0)]:
        batches = await told(log.follow(after, tail=tail, follow=False))
        assert dropped == batches[0][0]
        assert kept == [number for _, lines in batches for number in lines]


async def test_a_batch_has_a_bound() -> None:
    assert [(0, BATCH_LINES), (0, BATCH_LINES), (0, 88)] == [
        (dropped, len(lines)) for dropped, lines in await told(filled(600).follow(follow=False))
    ]
    log = filled(4, "x" * (BATCH_SIZE // 2))
    assert [(0, [1, 2]), (0, [3, 4])] == await told(log.follow(follow=False))
    log = filled(2, "x" * (BATCH_SIZE + 1))
    assert [(0, [1]), (0, [2])] == await told(log.follow(follow=False))


async def test_what_comes_after_the_question_is_not_its_answer() -> None:
    log = filled(3)
    short, lost = log.follow(follow=False), log.follow(1, follow=False)
    log.append(1, "stdout", "")
    assert [(0, [1, 2, 3])] == await told(short)
    log.append(1, "stdout", "x" * RING_SIZE)
    assert [(2, [])] == await told(lost)


async def test_the_end_comes_when_everything_is_read() -> None:
    log = filled(300)
    behind, ahead = log.follow(), await waiting(log.follow(300))
    await anext(behind)
    log.close()
    assert [(0, [*range(257, 301)])] == await told(behind)
    with pytest.raises(StopAsyncIteration):
        await ahead
    assert [(0, [300])] == await told(log.follow(299))


async def test_lines_of_one_step_wake_a_follower_once_and_without_one_nobody() -> None:
    log = UnitLog()
    loop = asyncio.get_running_loop()

    def wake_ups(count: int) -> int:
        with mock.patch.object(loop, "call_soon", wraps=loop.call_soon) as call_soon:
            for _ in range(count):
                log.append(1, "stdout", "")
        return call_soon.call_count

    assert 0 == wake_ups(100)
    followers = log.follow(100), log.follow(100)
    tasks = [await waiting(follower) for follower in followers]
    assert 2 == wake_ups(100)
    assert [[*range(101, 201)]] * 2 == [numbers(await task) for task in tasks]
    # They have read, and don't wait: nobody is woken.
    assert 0 == wake_ups(1)


async def test_a_follower_that_leaves_leaves_nothing_behind() -> None:
    log = UnitLog()
    tasks = [await waiting(log.follow()) for _ in range(3)]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert not log._waiting
    leaving, staying = await waiting(log.follow()), await waiting(log.follow())
    leaving.cancel()
    log.append(1, "stdout", "while it leaves")
    assert [1] == numbers(await staying)
    await asyncio.wait((leaving,))
    assert leaving.cancelled()


async def test_no_gap_and_no_repeat_across_generations_and_connections() -> None:
    log = UnitLog()
    seen: list[tuple[int, int, str]] = []

    async def connect(lines: int) -> None:
        """Follow from where the last one stopped, for so many lines."""
        until = len(seen) + lines
        follower = log.follow(seen[-1][0] if seen else 0)
        while len(seen) < until:
            batch = await anext(follower)
            assert 0 == batch.dropped
            seen.extend((line.sequence, line.generation, line.text) for line in batch.lines)
        await follower.aclose()

    for generation in range(1, 6):
        # One is there before its lines, is told some, and leaves; the rest is told to the next.
        reader = asyncio.create_task(connect(1))
        await asyncio.sleep(0)  # it runs until it waits
        for number in range(300):
            log.append(generation, "stdout", f"{generation}.{number}")
        await reader
        log.append(generation, "stderr", f"{generation}.300")
        await connect(1)

    assert log.next - 1 == len(seen)
    assert [
        (sequence, (sequence - 1) // 301 + 1, f"{(sequence - 1) // 301 + 1}.{(sequence - 1) % 301}")
        for sequence in range(1, log.next)
    ] == seen


#: Append so many lines of a length; read one batch with a follower; begin one after a cursor.
STEPS = st.lists(
    st.tuples(st.just("append"), st.integers(1, 40), st.integers(0, 300))
    | st.tuples(st.just("read"), st.integers(0, 3), st.just(0))
    | st.tuples(st.just("begin"), st.integers(0, 3), st.integers(0, 200)),
    max_size=60,
)


async def play(steps: Iterable[tuple[str, int, int]]) -> None:
    """Followers stop and go, begin again and wait; each reads just what a plain list says."""
    log = UnitLog()
    texts: list[str] = []
    followers = {number: log.follow() for number in range(4)}
    cursors = dict.fromkeys(followers, 0)
    tasks: dict[int, asyncio.Task[LogBatch]] = {}

    def check(number: int, batch: LogBatch, oldest: int) -> None:
        cursor = cursors[number]
        assert max(0, oldest - 1 - cursor) == batch.dropped
        first = cursor + batch.dropped + 1
        assert [*range(first, first + len(batch.lines))] == numbers(batch)
        assert texts[first - 1 : first - 1 + len(batch.lines)] == [
            line.text for line in batch.lines
        ]
        assert 1 <= len(batch.lines) <= 7
        cursors[number] = first + len(batch.lines) - 1

    for kind, one, two in steps:
        if kind == "append":
            for _ in range(one):
                texts.append(f"{len(texts)}:".ljust(two, "x"))
                log.append(1, "stdout", texts[-1])
            for number, task in tasks.items():
                check(number, await task, log.oldest)
            tasks.clear()
        elif one in tasks:
            continue
        elif kind == "begin":
            await followers[one].aclose()
            followers[one] = log.follow(two)
            cursors[one] = min(two, len(texts))
        elif cursors[one] < len(texts):
            check(one, await anext(followers[one]), log.oldest)
        else:
            tasks[one] = await waiting(followers[one])
        assert sum(len(line.text) + LINE_COST for line in log.lines()[1:]) < 1000

    log.close()
    for number, follower in followers.items():
        if number in tasks:
            with pytest.raises(StopAsyncIteration):
                await tasks[number]
        async for batch in follower:
            check(number, batch, log.oldest)
        assert len(texts) == cursors[number]


@settings(deadline=None)
@given(STEPS)
def test_whatever_happens_each_line_is_told_once_or_counted(
    steps: list[tuple[str, int, int]],
) -> None:
    with mock.patch.multiple(logs, RING_SIZE=1000, BATCH_LINES=7):
        asyncio.run(play(steps))
