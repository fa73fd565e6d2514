"""Calls of a worker that runs, against the same calls of a bare one."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from statistics import quantiles
from time import perf_counter
from typing import Final
from unittest.mock import patch

import grpc.aio

from bench import bare
from bench.bare import BOUND, Bare, bares
from bench.measure import Measure, Row, rounds
from bench.workers import worker
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.metadata import Metadata
from tests.gen.hsu_test_kinds import Answer, Ask, KindsClient

CALLERS: Final = (1, 16, 64)
SIZES: Final = {"10 B": 10, "1 KB": 1000, "100 KB": 100_000}

#: Calls of each caller in one round, and messages of a stream; of large ones a tenth.
CALLS: Final = {1: 200, 16: 25, 64: 8}
MESSAGES: Final = 2000

#: Keeps what the C library has freed. Otherwise it depends on what lies at the end of a process's heap
#: whether each large message has the kernel take pages back and clear them again: 100 of them for 100 KB.
HEAP: Final = {"MALLOC_TRIM_THRESHOLD_": str(16 << 20), "MALLOC_MMAP_THRESHOLD_": str(4 << 20)}


async def unary(full: bool) -> list[Row]:
    """Unary calls: how long each takes, and how many there are in a second."""
    found: list[Row] = []
    async with _both() as (by_hand, connection):
        stubs: dict[str, Callable[[Ask], Awaitable[Answer]]] = {
            "control": _stub(by_hand.channel, ()),
            "worker": _stub(connection.channel, connection.metadata),
            "worker, and our client": _client(KindsClient(connection)),
        }
        for size, length in SIZES.items():
            for callers in CALLERS:
                rows = _rows(f"unary calls of {size}, {_times(callers, 'caller')}")
                count = CALLS[callers] * (3 if full else 1)
                ask = Ask(payload=bytes(length))
                series = {name: _calls(call, ask, callers, count) for name, call in stubs.items()}
                await rounds(rows, 15 if full else 3, series)
                found += rows
    return found


async def streams(full: bool) -> list[Row]:
    """A server's stream: messages, and bytes."""
    found = []
    async with _both() as (by_hand, connection):
        for size, length in SIZES.items():
            row = Row(name=f"a server's stream of {size} each", unit="messages/s")
            volume = Row(name=f"a server's stream of {size} each, bytes", unit="MB/s")
            ask = Ask(number=MESSAGES // (10 if length > 1000 else 1), payload=bytes(length))
            series = {
                "control": _messages(by_hand.channel, (), ask),
                "worker": _messages(connection.channel, connection.metadata, ask),
            }
            await rounds((row, volume), 15 if full else 3, series)
            found += [row, volume]
    return found


@asynccontextmanager
async def _both() -> AsyncGenerator[tuple[Bare, Connection], None]:
    """A bare worker and one of ours, with heaps that are alike."""
    with patch.dict(os.environ, HEAP):
        async with bares() as made, worker() as connection:
            by_hand = await made.spawn()
            yield by_hand, connection
            await by_hand.stop()


def _rows(name: str) -> tuple[Row, Row, Row]:
    return (
        Row(name=f"{name}: median", unit="µs"),
        Row(name=f"{name}: 99th percentile", unit="µs"),
        Row(name=f"{name}: throughput", unit="calls/s"),
    )


def _stub(channel: grpc.aio.Channel, metadata: Metadata) -> Callable[[Ask], Awaitable[Answer]]:
    call = bare.unary(channel)
    return lambda ask: call(ask, timeout=BOUND, metadata=metadata)


def _client(client: KindsClient) -> Callable[[Ask], Awaitable[Answer]]:
    return lambda ask: client.unary(ask, timeout=BOUND)


def _calls(call: Callable[[Ask], Awaitable[Answer]], ask: Ask, callers: int, count: int) -> Measure:
    async def measure() -> Sequence[float]:
        times: list[float] = []

        async def some() -> None:
            for _ in range(count):
                began = perf_counter()
                answer = await call(ask)
                times.append(perf_counter() - began)
                assert answer.payload == ask.payload

        began = perf_counter()
        await asyncio.gather(*(some() for _ in range(callers)))
        took = perf_counter() - began
        parts = quantiles(times, n=100)
        return parts[49] * 1e6, parts[98] * 1e6, len(times) / took

    return measure


def _messages(channel: grpc.aio.Channel, metadata: Metadata, ask: Ask) -> Measure:
    call = bare.server_stream(channel)

    async def measure() -> Sequence[float]:
        began = perf_counter()
        count = size = 0
        async for answer in call(ask, timeout=BOUND, metadata=metadata):
            assert answer.number == count
            count += 1
            size += len(answer.payload)
        took = perf_counter() - began
        assert count == ask.number
        return count / took, size / took / 1e6

    return measure


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"
