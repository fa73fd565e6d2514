import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from hsu_worker import NotFound, Requests, Unavailable, implements
from hsu_worker.master.gateway.caller import Head
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds
from tests.master.gated import Scripts, call, gated, serving
from tests.serving.kinds import AsyncKinds
from tests.until import until

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


async def test_a_worker_may_speak_first_and_head_comes_before_any_message() -> None:
    go_on = asyncio.Event()

    async def greet(requests: Any, context: Any) -> None:
        await context.send_initial_metadata((("x-head", "a"),))
        await go_on.wait()
        await context.write(b"hello")

    async with gated(Scripts(Greet=greet)) as it:
        stream: Any = it.through.channel.stream_stream("/hsu.test.v1.Kinds/Greet")
        talk = stream(metadata=it.through.metadata, timeout=20)
        head = tuple(await talk.initial_metadata())
        go_on.set()
        hello = await talk.read()
        talk.cancel()

    assert (head, hello) == ((("x-head", "a"),), b"hello")


async def test_an_empty_head_comes_before_any_message_too() -> None:
    async def wait(requests: Any, context: Any) -> None:
        await context.send_initial_metadata(())
        async for request in requests:
            await context.write(request)

    async with gated(Scripts(Wait=wait)) as it:
        stream: Any = it.through.channel.stream_stream("/hsu.test.v1.Kinds/Wait")
        talk = stream(metadata=it.through.metadata, timeout=20)
        head = tuple(await talk.initial_metadata())
        assert not talk.done()
        await talk.write(b"a")
        answer = await talk.read()
        await talk.done_writing()
        end = await talk.read()

    assert (head, answer, end) == ((), b"a", grpc.aio.EOF)


async def test_nothing_else_is_sent_while_an_empty_head_is() -> None:
    """grpc.aio would send the head twice, and end the call for it."""
    begun, written = asyncio.Event(), asyncio.Event()

    class Context:
        async def send_initial_metadata(self, metadata: Any) -> None:
            begun.set()
            await written.wait()

    context: Any = Context()
    head = Head(context)
    await head.send(())
    await begun.wait()
    done = asyncio.create_task(head.done())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not done.done()
    written.set()
    await done


@pytest.mark.parametrize("text", ["fine", "wrong"])
async def test_a_stream_that_the_worker_ends_early_keeps_its_status(text: str) -> None:
    """grpc.aio alone says INTERNAL when a request can't be sent any more."""

    async def early(requests: Any, context: Any) -> None:
        await context.read()
        await context.write(b"enough")
        if text == "wrong":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing", (("x-tail", "a"),))
        context.set_trailing_metadata((("x-tail", "a"),))

    async def many() -> AsyncGenerator[bytes, None]:
        for _ in range(1000):
            yield bytes(1000)

    expected = (
        (grpc.StatusCode.OK, "") if text == "fine" else (grpc.StatusCode.NOT_FOUND, "no such thing")
    )
    async with gated(Scripts(Early=early)) as it:
        for _ in range(50):
            stream: Any = it.through.channel.stream_stream("/hsu.test.v1.Kinds/Early")
            talk = stream(metadata=it.through.metadata, timeout=20)
            sending = asyncio.create_task(send(talk, many()))
            answers = []
            try:
                async for answer in read(talk):
                    answers.append(answer)  # noqa: PERF401
            except grpc.aio.AioRpcError:
                pass
            await sending
            await until(lambda: talk.done())  # noqa: B023
            assert answers == [b"enough"]
            # This client is bare grpc.aio: it may lose the truth that the gateway sent.
            if await talk.details() == "Internal error from Core":
                continue
            assert (await talk.code(), await talk.details()) == expected
            assert tuple(await talk.trailing_metadata()) == (("x-tail", "a"),)


async def send(talk: Any, requests: AsyncIterator[bytes]) -> None:
    async for request in requests:
        try:
            await talk.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return


async def read(talk: Any) -> AsyncGenerator[bytes, None]:
    async for answer in aiter(talk):
        yield answer


@implements(Kinds)
class Early(AsyncKinds):
    async def client_stream(self, requests: Requests[Ask]) -> Answer:
        async for request in requests:
            if request.text != "fine":
                raise NotFound("no such thing")
            break
        return Answer(text="enough")


async def test_a_client_of_ours_always_reads_the_true_end() -> None:
    async def many(text: str) -> AsyncGenerator[Ask, None]:
        for _ in range(1000):
            yield Ask(text=text, payload=bytes(1000))

    async with gated(serving(Early())) as it:
        client = Kinds.client(it.through)
        for _ in range(50):
            answer = await client.client_stream(many("fine"))
            assert answer.text == "enough"
            with pytest.raises(NotFound, match="no such thing"):
                await client.client_stream(many("wrong"))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_caller_whose_time_runs_out_leaves_nothing_behind(kind: str) -> None:
    dispatcher = serving(Stuck())
    method = {
        "unary_unary": "Unary",
        "unary_stream": "ServerStream",
        "stream_unary": "ClientStream",
        "stream_stream": "Bidi",
    }[kind]
    async with gated(dispatcher) as it:
        seen = await call(it.through, method, kind=kind, timeout=0.2)
        async with asyncio.timeout(10):
            await dispatcher.calls.ended()
        await until(lambda: it.loans.asked[0].returned)

    assert seen.code is grpc.StatusCode.DEADLINE_EXCEEDED


@implements(Kinds)
class Stuck(AsyncKinds):
    """Never answers; streams answer once."""

    async def unary(self, request: Ask) -> Answer:
        await asyncio.Event().wait()
        return Answer()

    async def client_stream(self, requests: Requests[Ask]) -> Answer:
        await asyncio.Event().wait()
        return Answer()

    async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
        yield Answer()
        await asyncio.Event().wait()

    async def bidi(self, requests: Requests[Ask]) -> AsyncIterator[Answer]:
        yield Answer()
        await asyncio.Event().wait()


async def test_a_caller_that_leaves_in_the_middle_cancels_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dispatcher = serving(Stuck())
    async with gated(dispatcher) as it:
        client = Kinds.client(it.through)
        stream = client.server_stream(Ask())
        await anext(stream)
        await stream.aclose()
        waiting = asyncio.create_task(client.unary(Ask()))
        await until(lambda: dispatcher.calls.total == 2)
        waiting.cancel()
        async with asyncio.timeout(10):
            await dispatcher.calls.ended()
        await until(lambda: all(asked.returned for asked in it.loans.asked))

    assert caplog.messages == []


async def test_a_broken_stream_of_requests_is_no_normal_end_to_the_worker() -> None:
    taken = 0
    committed = []

    class Storing(AsyncKinds):
        async def client_stream(self, requests: Requests[Ask]) -> Answer:
            nonlocal taken
            async for _ in requests:
                taken += 1
            committed.append(1)
            return Answer()

    dispatcher = serving(Storing())
    async with gated(dispatcher) as it:
        for count in (0, 1, 2, 3):
            for _ in range(10):
                taken = 0
                stream: Any = it.through.channel.stream_unary("/hsu.test.v1.Kinds/ClientStream")
                talk = stream(metadata=it.through.metadata)
                for _ in range(count):
                    await talk.write(Ask().SerializeToString())
                await until(lambda: dispatcher.calls.in_flight and taken == count)  # noqa: B023
                talk.cancel()
                async with asyncio.timeout(10):
                    await dispatcher.calls.ended()

    assert committed == []


async def test_a_slow_caller_holds_a_fast_worker_up() -> None:
    sent = 0

    async def flood(requests: Any, context: Any) -> None:
        nonlocal sent
        while True:
            await context.write(bytes(64 << 10))
            sent += 1

    async with gated(Scripts(Flood=flood)) as it:
        stream: Any = it.through.channel.unary_stream("/hsu.test.v1.Kinds/Flood")
        talk = stream(b"", metadata=it.through.metadata)
        await talk.read()
        reached = await settled(lambda: sent)
        for _ in range(50):
            await talk.read()
        further = await settled(lambda: sent)
        talk.cancel()

    assert reached < 800, "50 MiB are on their way, and nobody reads them"
    assert further - reached <= 50 + reached


async def test_a_slow_worker_holds_a_fast_caller_up() -> None:
    sent = 0
    go_on = asyncio.Event()

    async def slow(requests: Any, context: Any) -> None:
        await go_on.wait()
        count = 0
        async for _ in requests:
            count += 1
        await context.write(str(count).encode())

    async with gated(Scripts(Slow=slow)) as it:
        stream: Any = it.through.channel.stream_unary("/hsu.test.v1.Kinds/Slow")
        talk = stream(metadata=it.through.metadata)

        async def pour() -> None:
            nonlocal sent
            for _ in range(1000):
                await talk.write(bytes(64 << 10))
                sent += 1
            await talk.done_writing()

        pouring = asyncio.create_task(pour())
        reached = await settled(lambda: sent)
        go_on.set()
        answer = await talk
        await pouring

    assert reached < 800, "50 MiB are on their way, and nobody reads them"
    assert answer == b"1000"


async def settled(count: Any) -> int:
    """The count, once it has stood still for a while."""
    last, still = -1, 0
    async with asyncio.timeout(20):
        while still < 100:
            await asyncio.sleep(0.002)
            still = still + 1 if count() == last else 0
            last = count()
    return last


async def test_closing_the_workers_connection_ends_its_calls_with_what_is_known() -> None:
    dispatcher = serving(Stuck())
    async with gated(dispatcher) as it:
        client = Kinds.client(it.through)
        waiting = asyncio.create_task(client.unary(Ask()))
        stream = client.server_stream(Ask())
        await anext(stream)
        await until(lambda: dispatcher.calls.total == 2)
        await it.direct.close()
        with pytest.raises(Unavailable) as of_unary:
            await waiting
        with pytest.raises(Unavailable) as of_stream:
            await anext(stream)

    message = "the connection was closed before the answer was complete"
    assert (of_unary.value.message, of_unary.value.dispatched) == (message, "unknown")
    assert (of_stream.value.message, of_stream.value.dispatched) == (message, "yes")
