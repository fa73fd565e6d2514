import tracemalloc

import pytest

from hsu_worker.master.logs import LINE_COST, RING_SIZE, LogLine, UnitLog
from hsu_worker.master.output import LINE_BYTES


def test_lines_are_numbered_from_one_across_generations() -> None:
    log = UnitLog()
    log.append(1, "stdout", "a")
    log.append(1, "stderr", "b")
    log.append(2, "my.logger", "c")
    assert [(1, 1, "stdout", "a"), (2, 1, "stderr", "b"), (3, 2, "my.logger", "c")] == [
        (line.sequence, line.generation, line.source, line.text) for line in log.lines()
    ]
    assert 0 == log.dropped


def test_the_oldest_lines_go_when_the_ring_is_full() -> None:
    log = UnitLog()
    # With its line end, each is a quarter of the ring.
    text = "x" * (RING_SIZE // 4 - LINE_COST)
    for _ in range(4):
        log.append(1, "stdout", text)
    assert (0, [1, 2, 3, 4]) == (log.dropped, [line.sequence for line in log.lines()])
    log.append(1, "stdout", "")
    assert (1, [2, 3, 4, 5]) == (log.dropped, [line.sequence for line in log.lines()])


def test_a_line_larger_than_the_ring_is_kept_alone() -> None:
    log = UnitLog()
    log.append(1, "stdout", "small")
    log.append(1, "my.logger", "x" * (RING_SIZE + 1))
    assert (1, [2]) == (log.dropped, [line.sequence for line in log.lines()])
    log.append(1, "stdout", "next")
    assert (2, ["next"]) == (log.dropped, [line.text for line in log.lines()])


def test_the_list_of_lines_does_not_change_later() -> None:
    log = UnitLog()
    log.append(1, "stdout", "a")
    before = log.lines()
    log.append(1, "stdout", "b")
    assert ["a"] == [line.text for line in before]


def test_the_tail_is_of_one_generation_and_without_blank_lines() -> None:
    log = UnitLog()
    assert [] == log.tail(1)
    for number in range(12):
        log.append(1, "stdout", f"old {number}")
        log.append(2, "stderr", f"new {number}")
        log.append(2, "stderr", " ")
    assert ["new 10", "new 11"] == log.tail(2, 2)
    assert [f"old {number}" for number in range(2, 12)] == log.tail(1)
    assert [] == log.tail(3)


COPY = ("2026-12-01 01:00:00,000 ERROR my.logger: failed: 7", "Traceback:", '  File "a"', "E: 7")
RECORD = 'failed: 7\nTraceback:\n  File "a"\nE: 7'


@pytest.mark.parametrize("record_first", [False, True])
def test_the_tail_shows_a_failure_once_that_came_as_a_record_too(*, record_first: bool) -> None:
    log = UnitLog()
    log.append(1, "stdout", "loading")
    log.append(1, "stderr", "Traceback:")
    if record_first:
        log.append(1, "my.logger", RECORD)
    for line in COPY:
        log.append(1, "stderr", line)
    if not record_first:
        log.append(1, "my.logger", RECORD)
    assert ["loading", "Traceback:", *RECORD.splitlines()] == log.tail(1)


def test_the_tail_shows_a_failure_that_came_by_stderr_alone() -> None:
    log = UnitLog()
    for line in COPY:
        log.append(1, "stderr", line)
    log.append(2, "my.logger", RECORD)
    assert list(COPY) == log.tail(1)


def test_the_window_is_told() -> None:
    log = UnitLog()
    assert (1, 1) == (log.oldest, log.next)
    log.append(1, "stdout", "a")
    assert (1, 2) == (log.oldest, log.next)
    log.append(1, "my.logger", "x" * RING_SIZE)
    assert (2, 3) == (log.oldest, log.next)


def test_lines_that_had_to_go_hold_no_memory() -> None:
    log = UnitLog()
    tracemalloc.start()
    try:
        for number in range(2000):
            # Every hundredth is long: what is kept and what goes differ in number and in size.
            log.append(1, "stdout", "x" * (LINE_BYTES if number % 100 else 10 * LINE_BYTES))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * RING_SIZE


def test_a_sink_takes_every_line() -> None:
    taken: list[LogLine] = []
    log = UnitLog(taken.append)
    log.append(1, "stdout", "x" * RING_SIZE)
    log.append(1, "stdout", "b")
    assert [1, 2] == [line.sequence for line in taken]
    assert taken[1:] == log.lines()
