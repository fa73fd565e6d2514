"""A call that provably reached nobody is made again; no other is."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from hsu_worker.errors import Dispatch, RpcError, StartError, Unavailable
from hsu_worker.gen.hsu_a import InterfaceA
from hsu_worker.wire.address import Address
from hsu_worker.wire.client import MAX_TRIES, Tries, explained
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.source import Source
from tests.gen.hsu_test_kinds import Ask, KindsClient
from tests.serving.kinds import AsyncKinds
from tests.serving.served import served


class Leases:
    """Lends one connection after the other, the last one for ever."""

    def __init__(self, *connections: Connection) -> None:
        self._connections = connections
        self.count = 0

    @asynccontextmanager
    async def __call__(self, _deadline: float | None, /) -> AsyncGenerator[Connection, None]:
        self.count += 1
        yield self._connections[min(self.count, len(self._connections)) - 1]


@asynccontextmanager
async def nobodys(folder: Path) -> AsyncGenerator[Connection, None]:
    """A connection to an address where nobody listens."""
    connection = Connection.open(Address(path=str(folder / "nobody.sock")))
    yield connection
    await connection.close()


async def asks() -> AsyncIterator[Ask]:
    for text in ("a", "b", "c"):
        yield Ask(text=text)


def stepped() -> Iterator[Ask]:
    yield from (Ask(text=text) for text in ("a", "b", "c"))


async def texts(answers: AsyncIterator[Any]) -> list[str]:
    return [answer.text async for answer in answers]


CALLS: list[Callable[[KindsClient], Any]] = [
    lambda client: client.unary(Ask(text="a"), timeout=20),
    lambda client: texts(client.server_stream(Ask(text="a", number=2), timeout=20)),
    lambda client: client.client_stream(asks(), timeout=20),
    lambda client: client.client_stream(stepped(), timeout=20),
    lambda client: client.client_stream([Ask(text=text) for text in "abc"], timeout=20),
    lambda client: texts(client.bidi(asks(), timeout=20)),
    lambda client: texts(client.bidi([Ask(text=text) for text in "abc"], timeout=20)),
]


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_that_found_nobody_is_made_again(
    tmp_path: Path, call: Callable[[KindsClient], Any]
) -> None:
    async with served(AsyncKinds()) as it, nobodys(tmp_path) as dead:
        expected = await call(it.client)
        leases = Leases(dead, dead, it.connection)
        assert expected == await call(KindsClient(leases))

    assert 3 == leases.count


@pytest.mark.parametrize("call", CALLS)
async def test_three_tries_are_enough(tmp_path: Path, call: Callable[[KindsClient], Any]) -> None:
    async with nobodys(tmp_path) as dead:
        leases = Leases(dead)
        with pytest.raises(Unavailable, match="failed to connect") as caught:
            await call(KindsClient(leases))

    assert (3, Dispatch.NO) == (leases.count, caught.value.dispatched)


# Of a generator more than one request is on the way when the refusal comes.
@pytest.mark.parametrize("call", [CALLS[0], CALLS[1], CALLS[4], CALLS[6]])
async def test_a_call_that_was_refused_is_made_again(call: Callable[[KindsClient], Any]) -> None:
    def closed() -> RpcError:
        return Unavailable("the worker is DRAINING", dispatched=Dispatch.NO)

    async with served(AsyncKinds(), gate=closed) as draining, served(AsyncKinds()) as it:
        expected = await call(it.client)
        leases = Leases(draining.connection, it.connection)
        assert expected == await call(KindsClient(leases))

    assert 2 == leases.count


class Relay(AsyncKinds):
    """Passes on what its own client was told of another address."""

    async def unary(self, request: Ask) -> Any:
        raise Unavailable(request.text)


async def test_what_a_worker_tells_of_others_is_no_proof() -> None:
    async with served(Relay()) as it:
        leases = Leases(it.connection)
        text = "failed to connect to all addresses; last error: UNKNOWN: unix:/elsewhere: refused"
        with pytest.raises(Unavailable) as caught:
            await KindsClient(leases).unary(Ask(text=text), timeout=20)

    assert (1, Dispatch.YES) == (leases.count, caught.value.dispatched)


def text_of(request: Ask) -> bytes:
    return request.text.encode()


async def test_a_stream_is_not_sent_again_once_two_requests_were_taken() -> None:
    source = Source(asks(), text_of)
    first = source.from_the_first()
    assert b"a" == await anext(first)
    once = source.repeatable
    await first.aclose()
    again = source.from_the_first()
    assert [b"a", b"b"] == [await anext(again), await anext(again)]
    assert (True, False) == (once, source.repeatable)
    await again.aclose()
    await source.aclose()


async def test_a_generator_that_is_not_read_to_its_end_is_closed() -> None:
    closed = []

    async def requests() -> AsyncGenerator[Ask, None]:
        try:
            while True:
                yield Ask()
        finally:
            closed.append(True)

    source = Source(requests(), text_of)
    taken = source.from_the_first()
    await anext(taken)
    await taken.aclose()
    await source.aclose()
    assert [True] == closed


async def test_a_last_try_that_reached_nobody_does_not_undo_the_first() -> None:
    method = next(iter(InterfaceA.methods.values()))
    assert method.idempotent
    tries = Tries(method)
    lent = Connection(grpc.aio.insecure_channel("unix:/nowhere"))
    await tries.failed(Unavailable("broken", dispatched=Dispatch.UNKNOWN), lent)
    with pytest.raises(Unavailable) as caught:
        await tries.failed(Unavailable("nobody", dispatched=Dispatch.NO), None)
    await lent.close()
    assert Dispatch.UNKNOWN is caught.value.dispatched


class Broken:
    """A connection that broke, and the end of whoever was there."""

    def __init__(self, words: str) -> None:
        self.asked = 0
        self._words = words
        channel = grpc.aio.insecure_channel("unix:/nowhere")
        self.connection = Connection(channel, last_words=self._last_words)
        self.error = Unavailable("the connection broke: Socket closed", dispatched=Dispatch.UNKNOWN)

    async def _last_words(self) -> str:
        self.asked += 1
        if not self._words:
            await asyncio.Event().wait()
        return self._words


async def test_a_try_that_is_made_again_waits_for_no_end_and_the_last_one_tells_it() -> None:
    method = next(iter(InterfaceA.methods.values()))
    assert method.idempotent
    tries, broken = Tries(method), Broken("it crashed")
    for _ in range(MAX_TRIES - 1):
        await tries.failed(broken.error, broken.connection)
    assert 0 == broken.asked
    with pytest.raises(Unavailable) as caught:
        await tries.failed(broken.error, broken.connection)
    await broken.connection.close()
    assert ("it crashed", Dispatch.UNKNOWN) == (caught.value.message, caught.value.dispatched)


async def test_nobody_waits_for_an_end_longer_than_for_the_answer() -> None:
    broken = Broken("")
    soon = asyncio.get_running_loop().time() + 0.01
    assert broken.error is await explained(broken.error, broken.connection, soon)
    assert 1 == broken.asked
    await broken.connection.close()


async def test_a_worker_that_says_that_it_is_unavailable_is_no_broken_connection() -> None:
    broken = Broken("it crashed")
    error = Unavailable("draining", dispatched=Dispatch.UNKNOWN)
    assert error is await explained(error, broken.connection, None)
    assert 0 == broken.asked
    await broken.connection.close()


async def test_a_unit_that_will_not_start_is_asked_once() -> None:
    count = 0

    @asynccontextmanager
    async def lease(_deadline: float | None, /) -> AsyncGenerator[Connection, None]:
        nonlocal count
        count += 1
        if count:
            raise StartError("it is broken")
        yield Connection(grpc.aio.insecure_channel("unix:/nowhere"))

    with pytest.raises(StartError):
        await KindsClient(lease).unary(Ask(), timeout=20)
    assert 1 == count
