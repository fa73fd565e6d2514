import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from hsu_worker.master.gateway.caller import EMPTY_HEAD_WAIT, Head
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.master.gated import Scripts, call, gateway, worker
from tests.until import until

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


async def echo(requests: Any, context: Any) -> None:
    async for request in requests:
        await context.write(request)


async def refuse(requests: Any, context: Any) -> None:
    """As a worker that drains: it has read a request, and refuses it before a handler sees it."""
    await context.read()
    await context.abort(grpc.StatusCode.UNAVAILABLE, "draining", (("hsu-dispatched", "no"),))


async def refuse_unread(requests: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAVAILABLE, "draining", (("hsu-dispatched", "no"),))


async def vanish(requests: Any, context: Any) -> None:
    await context.read()
    await context.abort(grpc.StatusCode.UNAVAILABLE, "who knows")


async def closed() -> Connection:
    connection = Connection.open(Address(path="/nowhere/at/all"))
    await connection.close()
    return connection


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [refuse, refuse_unread])
async def test_a_call_that_was_refused_is_answered_by_the_next_generation(
    kind: str, first: Any
) -> None:
    async with (
        worker(Scripts(X=first)) as old,
        worker(Scripts(X=echo)) as new,
        gateway(old, old, new) as (loans, _, through),
    ):
        for _ in range(20):
            loans.asked.clear()
            seen = await call(through, "X", b"once", kind=kind)

            assert (seen.code, seen.answers) == (grpc.StatusCode.OK, [b"once"])
            assert len(loans.asked) == 3
            assert [type(asked.failure) for asked in loans.asked] == [
                grpc.aio.AioRpcError,
                grpc.aio.AioRpcError,
                type(None),
            ]


async def test_a_connection_that_is_closed_is_not_the_end() -> None:
    async with worker(Scripts(X=echo)) as new, gateway(await closed(), new) as (loans, _, through):
        seen = await call(through, "X", b"once")

    assert (seen.code, seen.answers) == (grpc.StatusCode.OK, [b"once"])
    assert isinstance(loans.asked[0].failure, grpc.aio.UsageError)


async def test_a_worker_that_is_not_there_is_not_the_end(tmp_path: Path) -> None:
    nobody = Connection.open(Address(path=str(tmp_path / "nobody")))
    async with worker(Scripts(X=echo)) as new, gateway(nobody, new) as (loans, _, through):
        seen = await call(through, "X", b"once")
        await nobody.close()

    assert (seen.code, seen.answers) == (grpc.StatusCode.OK, [b"once"])
    assert isinstance(loans.asked[0].failure, grpc.aio.AioRpcError)


async def test_three_tries_are_all() -> None:
    async with worker(Scripts(X=refuse)) as old, gateway(old) as (loans, _, through):
        seen = await call(through, "X", b"once")

    assert (seen.code, seen.message) == (grpc.StatusCode.UNAVAILABLE, "draining")
    assert seen.trailer("hsu-dispatched") == "no"
    assert len(loans.asked) == 3


async def test_what_may_have_run_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async with worker(Scripts(X=vanish)) as old, gateway(old) as (loans, _, through):
        seen = await call(through, "X", b"once")

    assert (seen.code, seen.message) == (grpc.StatusCode.UNAVAILABLE, "who knows")
    assert seen.trailer("hsu-dispatched") == "unknown"
    assert len(loans.asked) == 1
    assert caplog.messages == []


async def test_a_stream_of_which_two_requests_were_taken_is_not_tried_again() -> None:
    async def two(requests: Any, context: Any) -> None:
        await context.read()
        await context.read()
        await refuse_unread(requests, context)

    async with (
        worker(Scripts(X=two)) as old,
        worker(Scripts(X=echo)) as new,
        gateway(old, new) as (loans, _, through),
    ):
        stream: Any = through.channel.stream_stream("/hsu.test.v1.Kinds/X")
        talk = stream(metadata=through.metadata, timeout=20)
        await talk.write(b"one")
        await talk.write(b"two")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await talk.read()

    assert raised.value.details() == "draining"
    assert len(loans.asked) == 1


async def test_an_answer_that_was_begun_is_not_tried_again() -> None:
    begun = asyncio.Event()

    async def begin(requests: Any, context: Any) -> None:
        await context.send_initial_metadata((("x-head", "a"),))
        await begun.wait()
        await refuse_unread(requests, context)

    async with worker(Scripts(X=begin)) as old, gateway(old) as (loans, _, through):
        stream: Any = through.channel.unary_stream("/hsu.test.v1.Kinds/X")
        talk = stream(b"once", metadata=through.metadata, timeout=20)
        assert (("x-head", "a"),) == tuple(await talk.initial_metadata())
        begun.set()
        with pytest.raises(grpc.aio.AioRpcError, match="draining"):
            await talk.read()

    assert len(loans.asked) == 1


async def test_an_empty_head_waits_for_what_has_come_while_the_loop_stood_still() -> None:
    sent: list[Any] = []

    class Caller:
        async def send_initial_metadata(self, metadata: Any) -> None:
            sent.append(metadata)

    context: Any = Caller()
    head = Head(context)
    await head.send(())
    time.sleep(2 * EMPTY_HEAD_WAIT)  # noqa: ASYNC251  the loop stands still
    for _ in range(10):  # what has come is heard a few turns later
        await asyncio.sleep(0)
    await head.done()

    assert (sent, head.sent) == ([], False)

    await head.send(())
    await until(lambda: sent)
    assert (sent, head.sent) == ([()], True)


async def test_no_request_is_lost_between_two_tries() -> None:
    """The second request comes while the first try fails; the next try sends both, in order."""
    go_on = asyncio.Event()

    async def late(requests: Any, context: Any) -> None:
        await context.read()
        await go_on.wait()
        await refuse_unread(requests, context)

    async with (
        worker(Scripts(X=late)) as old,
        worker(Scripts(X=echo)) as new,
        gateway(old, new) as (loans, _, through),
    ):
        for _ in range(20):
            loans.asked.clear()
            go_on.clear()
            stream: Any = through.channel.stream_stream("/hsu.test.v1.Kinds/X")
            talk = stream(metadata=through.metadata, timeout=20)
            await talk.write(b"one")
            await until(lambda: loans.asked)
            go_on.set()
            await until(lambda: len(loans.asked) == 2)
            await talk.write(b"two")
            await talk.done_writing()
            answers = [await talk.read(), await talk.read(), await talk.read()]

            assert answers == [b"one", b"two", grpc.aio.EOF]
