"""The log: what a record costs whoever logs it, and how fast records come to who reads them."""

import asyncio
import logging
from collections.abc import Sequence
from time import perf_counter, thread_time
from typing import Final

from bench.bare import BOUND
from bench.measure import Measure, Row, rounds
from bench.workers import worker
from hsu_worker.gen.hsu_core import CoreClient, GetStatusRequest, StreamLogsRequest
from hsu_worker.serving.logring import LogRing, RingHandler
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, KindsClient

READERS: Final = (0, 1, 10)

#: Records of one round with so many readers; what a ring holds, several times.
RECORDS: Final = 20_000


class _Nowhere(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        pass


async def logs(full: bool) -> list[Row]:
    """A logging call, and StreamLogs."""
    return [await _calls(full), *await _streams(full)]


async def _calls(full: bool) -> Row:
    row = Row(name="a logging call, CPU", unit="µs")
    count = 20_000 if full else 5_000
    ring = LogRing()

    def to(handler: logging.Handler) -> Measure:
        logger = logging.getLogger(f"{__name__}.{type(handler).__name__}")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)

        async def measure() -> Sequence[float]:
            began = thread_time()
            for number in range(count):
                logger.info("record %d of many, as long as most of them are", number)
            return ((thread_time() - began) / count * 1e6,)

        return measure

    series = {"control": to(_Nowhere()), "into the ring": to(RingHandler(ring))}
    await rounds((row,), 25 if full else 7, series)
    _, last = ring.take(ring.window[1] - 1, 1)
    assert last[0].message.startswith("record ")
    return row


async def _streams(full: bool) -> list[Row]:
    rate = Row(name="log records that are read while they are logged", unit="records/s")
    cost = Row(name="a logging call in a worker, with the turns of its readers", unit="µs")
    for readers in READERS:
        name = f"{readers} reader{'' if readers == 1 else 's'}"
        async with worker("bench.chatty:Chatty") as connection:
            for _ in range(15 if full else 5):
                records, seconds = await _round(connection, readers, rate, name)
                cost.add(name, seconds / RECORDS * 1e6)
                if readers:
                    rate.add(name, records)
    return [rate, cost]


async def _round(connection: Connection, readers: int, rate: Row, name: str) -> tuple[float, float]:
    """One round: records that all readers got in a second, and how long the logging took."""
    core = CoreClient(connection)
    first = (await core.get_status(GetStatusRequest())).log.next
    opened = [asyncio.Event() for _ in range(readers)]

    async def read(ready: asyncio.Event) -> int:
        got = lost = 0
        request = StreamLogsRequest(sequence=first, follow=True)
        async for batch in core.stream_logs(request):
            ready.set()
            got += len(batch.records)
            lost += batch.dropped
            if got + lost >= RECORDS:
                break
        assert got + lost == RECORDS
        rate.counts[f"{name}: dropped"] = rate.counts.get(f"{name}: dropped", 0) + lost
        return got

    reading = [asyncio.create_task(read(ready)) for ready in opened]
    await asyncio.gather(*(ready.wait() for ready in opened))
    began = perf_counter()
    reply = await KindsClient(connection).unary(Ask(number=RECORDS), timeout=BOUND)
    got = sum(await asyncio.gather(*reading))
    return got / (perf_counter() - began), reply.number / 1e9
