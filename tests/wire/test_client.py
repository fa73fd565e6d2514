import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest

from hsu_worker import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    Requests,
    Unavailable,
    implements,
)
from hsu_worker.errors import Dispatch, RpcError
from hsu_worker.testing import RunningWorker, running
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds, KindsClient
from tests.serving.kinds import AsyncKinds
from tests.serving.served import served


@implements(Kinds)
class Early(AsyncKinds):
    """Ends streams after the first request: with an error, or, when it says "fine", well."""

    async def client_stream(self, requests: Requests[Ask]) -> Answer:
        async for request in requests:
            if request.text != "fine":
                raise NotFound("no such thing")
            break
        return Answer(text="enough")

    async def bidi(self, requests: Requests[Ask]) -> AsyncIterator[Answer]:
        async for request in requests:
            if request.text != "fine":
                raise NotFound("no such thing")
            yield Answer(text="enough")
            return


async def to_the_end(call: Any) -> None:
    if isinstance(call, AsyncGenerator):
        [_ async for _ in call]
    else:
        await call


async def many(text: str) -> AsyncGenerator[Ask, None]:
    for _ in range(1000):
        yield Ask(text=text, payload=bytes(1000))


async def test_a_stream_that_the_worker_refuses_early_keeps_its_status() -> None:
    """grpc.aio alone says INTERNAL when a request can't be sent any more."""
    async with running(Early()) as worker:
        client = worker.client(Kinds)
        for _ in range(50):
            with pytest.raises(NotFound, match="no such thing") as raised:
                await client.client_stream(many("wrong"))
            assert raised.value.dispatched is Dispatch.YES
            with pytest.raises(NotFound, match="no such thing"):
                [_ async for _ in client.bidi(many("wrong"))]


async def test_a_stream_that_the_worker_ends_early_and_well_is_no_error() -> None:
    async with running(Early()) as worker:
        client = worker.client(Kinds)
        for _ in range(50):
            answer = await client.client_stream(many("fine"))
            assert answer.text == "enough"
            answers = [answer.text async for answer in client.bidi(many("fine"))]
            assert answers == ["enough"]


async def test_a_timeout_of_centuries_is_none() -> None:
    """grpc alone takes it for one that has passed."""
    async with running(AsyncKinds()) as worker:
        client = worker.client(Kinds)
        for timeout in (1e10, 1e20, 1e300, float("inf")):
            assert "a" == (await client.unary(Ask(text="a"), timeout=timeout)).text
            assert [0, 1] == [
                answer.number
                async for answer in client.server_stream(Ask(number=2), timeout=timeout)
            ]


async def test_a_deadline_in_the_middle_of_sending_is_a_deadline() -> None:
    async def endless() -> AsyncGenerator[Ask, None]:
        while True:
            yield Ask(payload=bytes(10_000))

    async with running(AsyncKinds()) as worker:
        client = worker.client(Kinds)
        for _ in range(10):
            with pytest.raises(DeadlineExceeded):
                await client.client_stream(endless(), timeout=0.02)
            with pytest.raises(DeadlineExceeded):
                [_ async for _ in client.bidi(endless(), timeout=0.02)]


@pytest.mark.parametrize("method", ["client_stream", "bidi"])
async def test_what_the_callers_generator_raises_is_raised_and_the_call_cancelled(
    method: str,
) -> None:
    async def broken() -> AsyncGenerator[Ask, None]:
        yield Ask()
        raise FileNotFoundError("document 2")

    async with served(AsyncKinds()) as server:
        with pytest.raises(FileNotFoundError, match="document 2"):
            await to_the_end(getattr(server.client, method)(broken()))
        async with asyncio.timeout(10):
            await server.dispatcher.calls.ended()


async def test_a_generator_of_requests_is_closed_when_the_call_ends_before_it() -> None:
    closed = asyncio.Event()

    async def waiting() -> AsyncGenerator[Ask, None]:
        try:
            yield Ask(text="wrong")
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with running(Early()) as worker:
        client = worker.client(Kinds)
        for method in (client.client_stream, client.bidi):
            with pytest.raises(NotFound):
                await to_the_end(method(waiting()))
            assert closed.is_set()
            closed.clear()


async def test_a_plain_generator_of_requests_runs_beside_the_loop() -> None:
    threads = set()

    def asks() -> Iterator[Ask]:
        for _ in range(3):
            threads.add(threading.current_thread())
            yield Ask(text="a")

    async with running(AsyncKinds()) as worker:
        answer = await worker.client(Kinds).client_stream(asks())

    assert answer.number == 3
    assert threading.main_thread() not in threads


async def test_leaving_a_stream_early_cancels_the_call() -> None:
    class Endless(AsyncKinds):
        async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
            while True:
                yield Answer()

    async with served(Endless()) as server:
        stream = server.client.server_stream(Ask())
        await anext(stream)
        await stream.aclose()
        async with asyncio.timeout(10):
            await server.dispatcher.calls.ended()


async def test_a_call_that_is_refused_before_any_handler_is_tried_three_times() -> None:
    tries = 0

    def closed() -> RpcError | None:
        nonlocal tries
        tries += 1
        return Unavailable("not yet") if tries < 3 else None

    async with served(AsyncKinds(), gate=closed) as server:
        answer = await server.client.unary(Ask(text="a"))
        tries = -10
        with pytest.raises(Unavailable, match="not yet"):
            await server.client.unary(Ask(text="a"))

    assert (answer.text, tries) == ("a", -7)


async def test_a_call_that_may_have_run_is_not_tried_again() -> None:
    ran = []

    class Failing(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            ran.append(1)
            raise Unavailable("later")

    async with running(Failing()) as worker:
        with pytest.raises(Unavailable, match="later"):
            await worker.client(Kinds).unary(Ask())

    assert ran == [1]


@asynccontextmanager
async def waiting_worker() -> AsyncGenerator[tuple[RunningWorker, asyncio.Event], None]:
    entered = asyncio.Event()

    class Waiting(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            entered.set()
            await asyncio.Event().wait()
            return Answer()

        async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
            yield Answer()
            await asyncio.Event().wait()

    async with running(Waiting()) as worker:
        yield worker, entered


async def test_closing_the_connection_fails_its_calls_and_cancels_nobodys_task() -> None:
    async with waiting_worker() as (worker, entered):
        connection = Connection.open(worker.address)
        client = Kinds.client(connection)
        unary = asyncio.create_task(client.unary(Ask()))
        stream = client.server_stream(Ask())
        await anext(stream)
        await entered.wait()
        closing = asyncio.create_task(connection.close())
        with pytest.raises(Unavailable) as of_unary:
            await unary
        with pytest.raises(Unavailable) as of_stream:
            await anext(stream)
        await closing
        with pytest.raises(Unavailable) as after:
            await client.unary(Ask())

    assert of_unary.value.message == "the connection was closed before the answer was complete"
    assert of_unary.value.dispatched is Dispatch.UNKNOWN
    assert of_stream.value.dispatched is Dispatch.YES
    assert after.value.dispatched is Dispatch.NO


async def test_cancelling_the_caller_is_no_error_of_the_call() -> None:
    async with waiting_worker() as (worker, entered):
        call = asyncio.create_task(worker.client(Kinds).unary(Ask()))
        await entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await worker.client(Kinds).unary(Ask())


async def test_a_timeout_that_has_passed_sends_nothing() -> None:
    async with served(AsyncKinds()) as server:
        with pytest.raises(DeadlineExceeded) as raised:
            await server.client.unary(Ask(), timeout=-1)
        assert server.dispatcher.calls.total == 0

    assert raised.value.dispatched is Dispatch.NO


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        (("X-A", "a"), "metadata 'X-A': names are lower case letters, digits and `_.-`"),
        (
            ("x-a", "line\nbreak"),
            "metadata 'x-a': the value is not printable ASCII; send bytes, under a name in -bin",
        ),
        (
            ("x-a", "ü"),
            "metadata 'x-a': the value is not printable ASCII; send bytes, under a name in -bin",
        ),
        (("x-bin", "text"), "metadata 'x-bin': the value of a name in -bin is bytes"),
    ],
)
async def test_metadata_that_cannot_be_sent_is_named(pair: tuple[str, str], problem: str) -> None:
    async with served(AsyncKinds()) as server:
        for call in (
            server.client.unary(Ask(), metadata=[pair]),
            server.client.client_stream([Ask()], metadata=[pair]),
            server.client.bidi([Ask()], metadata=[pair]),
        ):
            with pytest.raises(InvalidArgument) as raised:
                await to_the_end(call)
            assert (raised.value.message, raised.value.dispatched) == (problem, Dispatch.NO)
        assert server.dispatcher.calls.total == 0


async def test_of_metadata_in_a_mapping_the_pairs_are_asked_for() -> None:
    # Of two letters: as a pair, it would be another name with another value.
    given: Any = {"xy": "a"}
    async with served(AsyncKinds()) as server:
        for call in (
            server.client.unary(Ask(), metadata=given),
            server.client.bidi([Ask()], metadata=given),
        ):
            with pytest.raises(TypeError) as raised:
                await to_the_end(call)
            assert (
                "metadata is a list of pairs, such as [('x-user', 'ada')]; "
                "of a mapping, write list(mapping.items())"
            ) == str(raised.value)
        assert server.dispatcher.calls.total == 0


@pytest.mark.parametrize("kind", ["unary", "client_stream", "server_stream", "bidi"])
async def test_a_timeout_that_is_no_number_is_refused(kind: str) -> None:
    given: Any = "5"
    async with served(AsyncKinds()) as server:
        with pytest.raises(TypeError, match=r"^timeout is a number of seconds, and was '5'$"):
            await to_the_end(getattr(server.client, kind)(Ask(), timeout=given))


@pytest.mark.parametrize("kind", ["unary", "client_stream", "server_stream", "bidi"])
@pytest.mark.parametrize("wrong", ["text", None, Answer(text="a")])
async def test_what_is_no_request_is_refused_and_reaches_no_handler(kind: str, wrong: Any) -> None:
    """grpc.aio alone would send an empty message."""
    path = f"/{Kinds.name}/{Kinds.methods[kind].name}"
    requests = [wrong] if Kinds.methods[kind].client_streaming else wrong
    async with served(AsyncKinds()) as server:
        with pytest.raises(TypeError) as raised:
            await to_the_end(getattr(server.client, kind)(requests))

    assert str(raised.value) == f"{path} takes Ask, and was called with {type(wrong).__qualname__}"


@pytest.mark.parametrize("kind", ["unary", "client_stream", "server_stream", "bidi"])
async def test_an_answer_that_is_none_is_an_error(kind: str) -> None:
    """grpc.aio alone would return None."""

    async def answer(_request: Any, context: Any) -> None:
        await context.write(b"\xff")

    method = Kinds.methods[kind]
    server = grpc.aio.server()
    # `add_registered_method_handlers` does nothing in the oldest grpc.aio that we run on.
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                Kinds.name, {method.name: grpc.stream_stream_rpc_method_handler(answer)}
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            request: Any = [] if method.client_streaming else Ask()
            with pytest.raises(Internal) as raised:
                await to_the_end(getattr(KindsClient(channel), kind)(request))
    finally:
        await server.stop(None)

    assert raised.value.message == f"the answer of {method.path} is no hsu.test.v1.Answer"


async def test_a_plain_channel_lends_itself() -> None:
    async with (
        running(AsyncKinds()) as worker,
        grpc.aio.insecure_channel(worker.address.target) as channel,
    ):
        answer = await KindsClient(channel).unary(Ask(text="a"))

    assert answer.text == "a"
