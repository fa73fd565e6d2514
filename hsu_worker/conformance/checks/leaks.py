"""What is left after many lives of the same process."""

import time
from collections import Counter
from typing import Final

from hsu_worker.conformance import bounds
from hsu_worker.conformance.check import Lane, Level, check_on
from hsu_worker.conformance.family import descriptors, threads
from hsu_worker.conformance.finding import expect_that
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.worker import Worker

#: Starts and stops, and those before the first look: what is made once is no leak.
_CYCLES: Final = 100
_FIRST: Final = 10
#: Seconds for all of them; a start that takes long leaves time for fewer.
_TIME: Final = 20.0
_CONNECTIONS: Final = 50
#: Of a hundred, so many may be chance.
_CHANCE: Final = 5


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "L15",
    f"{_CYCLES} starts and stops leave no descriptors and no threads.",
    "A worker that is started and stopped for months ends at a limit of the system.",
)
async def start_stop_leaks(lab: Lab, worker: Worker) -> None:
    pid, until = worker.told.pid, time.monotonic() + _TIME * lab.patience
    before, cycles = descriptors(pid), 0
    tasks = threads(pid)
    while cycles < _CYCLES and time.monotonic() < until:
        await worker.run()
        await worker.stop()
        cycles += 1
        if cycles == _FIRST:
            before, tasks = descriptors(pid), threads(pid)
    after = descriptors(pid)
    expect_that(
        len(after) <= len(before) + _CHANCE,
        f"no more descriptors after {cycles} cycles than before: {len(before)}",
        f"{len(after)}; new: {_new(before, after)}",
    )
    expect_that(
        threads(pid) <= tasks + _CHANCE,
        f"no more threads after {cycles} cycles than before: {tasks}",
        f"{threads(pid)}",
    )


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "L15",
    f"{_CONNECTIONS} connections that come and go leave no descriptors.",
    "Each master that is restarted brings a new one.",
)
async def connection_leaks(lab: Lab, worker: Worker) -> None:
    pid = worker.told.pid
    await _connections(worker, _FIRST)
    before = descriptors(pid)
    await _connections(worker, _CONNECTIONS)
    await lab.until(
        lambda: len(descriptors(pid)) <= len(before) + _CHANCE,
        bounds.SOON,
        lambda: (
            f"no more descriptors than before: {len(before)}",
            f"{len(descriptors(pid))}; new: {_new(before, descriptors(pid))}",
        ),
    )


async def _connections(worker: Worker, count: int) -> None:
    kept = worker.connection
    for _ in range(count):
        worker.connection = worker.connect(worker.token)
        await worker.ping()
        await worker.connection.close()
    worker.connection = kept


def _new(before: list[str], after: list[str]) -> str:
    kinds = Counter(each.partition(":")[0] for each in after)
    kinds.subtract(each.partition(":")[0] for each in before)
    return ", ".join(f"{count} of {kind}" for kind, count in kinds.most_common(3) if count > 0)
