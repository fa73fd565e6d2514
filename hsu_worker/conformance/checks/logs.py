"""Its log, as StreamLogs sends it. A worker without one is not asked."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from hsu_worker.conformance import bounds
from hsu_worker.conformance.check import Lane, Level, check_on
from hsu_worker.conformance.finding import NotMet, Skipped, expect, expect_that
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.worker import Worker
from hsu_worker.errors import PermissionDenied, RpcError, Unimplemented
from hsu_worker.gen.hsu_core import (
    LOG_LEVEL_ERROR,
    LogRecord,
    LogWindow,
    StreamLogsRequest,
    StreamLogsResponse,
)

#: What no instance is called.
_OTHER: Final = "0" * 32
#: Far past the end of any log.
_FAR: Final = 1 << 40
#: Starts and stops that may make it log enough for its ring to lose a record.
_CYCLES: Final = 20


async def _read(worker: Worker, **cursor: Any) -> list[StreamLogsResponse]:
    """The log from a cursor on, to its end."""
    request = StreamLogsRequest(**cursor)
    try:
        stream = worker.core.stream_logs(request, timeout=bounds.ANSWER * worker.patience)
        messages = [message async for message in stream]
    except Unimplemented:
        raise Skipped("it keeps no log: StreamLogs is UNIMPLEMENTED") from None
    except PermissionDenied as error:
        if worker.token:
            raise
        # So it has to be, of a worker that is open to all: U1.
        raise Skipped(f"only who has a token may read its log: {error.message}") from None
    if not messages:
        raise NotMet("a first message with a window", "no message")
    return messages


def _records(messages: Sequence[StreamLogsResponse]) -> list[LogRecord]:
    return [record for message in messages for record in message.records]


def _numbers(messages: Sequence[StreamLogsResponse]) -> list[int]:
    return [record.sequence for record in _records(messages)]


async def _some(worker: Worker) -> list[LogRecord]:
    """Its records so far."""
    records = _records(await _read(worker))
    if not records:
        raise Skipped("it has logged nothing so far")
    return records


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "C17 G1",
    "StreamLogs begins with a window that holds this instance, and ends unless it is followed.",
    "By the window a reader knows whether it has missed something.",
    harmless=True,
)
async def log_window(_lab: Lab, worker: Worker) -> None:
    messages = await _read(worker)
    first = messages[0]
    expect("the instance of the window", worker.told.instance, first.window.instance)
    expect_that(
        1 <= first.window.oldest <= first.window.next,
        "1 <= oldest <= next in the window",
        f"oldest {first.window.oldest}, next {first.window.next}",
    )
    expect("restarted, of one's own log", False, first.window.restarted)
    expect("records and dropped beside the window", (0, 0), (len(first.records), first.dropped))
    late = [message for message in messages[1:] if message.HasField("window")]
    expect("windows after the first message", 0, len(late))
    numbers = _numbers(messages)
    # Another record may come while these are read.
    expect(
        "the numbers of the records, from oldest on",
        list(range(first.window.oldest, first.window.oldest + len(numbers))),
        numbers,
    )
    expect_that(
        len(numbers) >= first.window.next - first.window.oldest,
        f"all records up to {first.window.next - 1}",
        f"{numbers}",
    )


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "G2",
    "A log that is read from a number on begins with that record.",
    "So a reader that comes again gets no record twice, and misses none.",
    harmless=True,
)
async def log_resume(_lab: Lab, worker: Worker) -> None:
    records = await _some(worker)
    middle = records[len(records) // 2].sequence
    last = records[-1].sequence
    for sequence in (middle, last, last + 1):
        numbers = _numbers(await _read(worker, instance=worker.told.instance, sequence=sequence))
        wanted = list(range(sequence, last + 1))
        expect(f"the records from {sequence} on", wanted, numbers[: len(wanted)])
        expect(f"records before {sequence}", [], [each for each in numbers if each < sequence])


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "G3",
    "A log that is followed stays open, and new records come.",
    "The master keeps what a worker logs, also of one that is killed a moment later.",
)
async def log_follow(lab: Lab, worker: Worker) -> None:
    begin = (await _read(worker))[0].window.next
    request = StreamLogsRequest(instance=worker.told.instance, sequence=begin, follow=True)
    stream = worker.core.stream_logs(request, timeout=bounds.START * lab.patience)
    taken: list[StreamLogsResponse] = []

    async def follow() -> None:
        async for message in stream:
            taken.append(message)  # noqa: PERF401  others look at it meanwhile

    follower = asyncio.create_task(follow())
    try:
        await lab.until(
            lambda: bool(taken) or follower.done(), bounds.SOON, lambda: ("a window", "nothing")
        )
        await worker.run()
        await worker.stop()
        end = (await _read(worker))[0].window.next
        if begin == end:
            raise Skipped("it logs nothing of its start and its stop")
        wanted = list(range(begin, end))
        await lab.until(
            lambda: follower.done() or len(_numbers(taken)) >= len(wanted),
            bounds.SOON,
            lambda: (f"the records {wanted}, followed,", str(_numbers(taken))),
        )
        expect_that(not follower.done(), "a stream that stays open", "it has ended")
        expect("the records that were followed", wanted, _numbers(taken)[: len(wanted)])
    except RpcError as error:
        raise NotMet("a log that is followed", str(error)) from None
    finally:
        follower.cancel()
        await asyncio.wait((follower,))


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "G4",
    "A log can be filtered by level and by logger.",
    "Of a talkative worker people want the errors.",
    harmless=True,
)
async def log_filter(_lab: Lab, worker: Worker) -> None:
    records = await _some(worker)
    errors = await _read(worker, level=LOG_LEVEL_ERROR)
    wanted = [record.sequence for record in records if record.level >= LOG_LEVEL_ERROR]
    expect("the records of level ERROR", wanted, _numbers(errors)[: len(wanted)])
    below = [record for record in _records(errors) if record.level < LOG_LEVEL_ERROR]
    expect("records below the level ERROR", [], [record.sequence for record in below])
    logger = records[0].logger
    chosen = await _read(worker, logger=logger)
    wanted = [record.sequence for record in records if f"{record.logger}.".startswith(f"{logger}.")]
    expect(f"the records of logger {logger!r}", wanted, _numbers(chosen)[: len(wanted)])
    others = await _read(worker, logger="no.such.logger")
    expect("the records of a logger that there isn't", [], _numbers(others))
    dropped = sum(message.dropped for message in (*errors, *chosen, *others))
    expect("dropped, for what a filter leaves out", 0, dropped)


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "G5",
    "Another instance's cursor starts at the first record, and the window says so.",
    "Whoever followed the one before has read nothing of this one.",
    harmless=True,
)
async def log_restarted(_lab: Lab, worker: Worker) -> None:
    messages = await _read(worker, instance=_OTHER, sequence=_FAR)
    window: LogWindow = messages[0].window
    expect("restarted, for another instance's cursor", True, window.restarted)
    expect("the instance of the window", worker.told.instance, window.instance)
    numbers = _numbers(messages)
    if numbers:
        dropped = sum(message.dropped for message in messages)
        expect("the first record, and what is dropped before it", numbers[0], dropped + 1)


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "G6",
    "A cursor past the record to come is OUT_OF_RANGE.",
    "Whoever asks so has mistaken something, and would wait for ever.",
    harmless=True,
)
async def log_out_of_range(_lab: Lab, worker: Worker) -> None:
    try:
        messages = await _read(worker, instance=worker.told.instance, sequence=_FAR)
    except RpcError as error:
        expect("the status", "OUT_OF_RANGE", error.code.name)
        return
    raise NotMet("OUT_OF_RANGE", f"{len(messages)} messages")


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "G7",
    "A cursor before the oldest record that is kept is told how many are lost.",
    "A gap that is counted is a fact; one that isn't is a riddle.",
)
async def log_dropped(_lab: Lab, worker: Worker) -> None:
    oldest = 1
    for _ in range(_CYCLES):
        await worker.run()
        await worker.stop()
        oldest = (await _read(worker))[0].window.oldest
        if oldest > 2:
            break
    else:
        raise Skipped(f"its ring has lost no record after {_CYCLES} starts and stops")
    messages = await _read(worker, instance=worker.told.instance, sequence=1)
    dropped = sum(message.dropped for message in messages)
    numbers = _numbers(messages)
    expect("the first record, and what is dropped before it", [dropped + 1], numbers[:1])
    expect_that(dropped >= oldest - 1, f"dropped: {oldest - 1} or more", f"{dropped}")
