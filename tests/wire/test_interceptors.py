"""Client interceptors as people write them for grpc.aio, in front of our clients."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from hsu_worker import InvalidArgument, Requests, Unavailable, current_call
from hsu_worker.errors import Dispatch
from hsu_worker.gen.hsu_core import Core, PingRequest
from hsu_worker.testing import BlockingWorker, RunningWorker, running
from hsu_worker.wire.connection import Connection, lend
from hsu_worker.wire.interceptors import check_interceptors, intercepted
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds, KindsClient
from tests.serving.kinds import AsyncKinds, call_each
from tests.serving.served import served

Continuation = Callable[[Any, Any], Awaitable[Any]]
METHODS = ("unary", "client_stream", "server_stream", "bidi")


class Logging(
    grpc.aio.UnaryUnaryClientInterceptor,
    grpc.aio.UnaryStreamClientInterceptor,
    grpc.aio.StreamUnaryClientInterceptor,
    grpc.aio.StreamStreamClientInterceptor,
):
    """Of all four kinds in one class; looks at requests, answers and metadata."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.log: list[str] = []
        self.metadata: list[tuple[str, Any]] = []

    def begin(self, details: Any) -> None:
        method = details.method if isinstance(details.method, str) else details.method.decode()
        self.log.append(f"{self.name}{method.rpartition('/')[2]}")
        self.metadata += list(iter(details.metadata or ()))

    async def requests(self, iterator: Any) -> AsyncIterator[Any]:
        async for request in iterator:
            self.log.append(f"{self.name}> {request.text}")
            yield request

    async def answers(self, call: Any) -> AsyncIterator[Any]:
        async for answer in call:
            self.log.append(f"{self.name}< {answer.text}")
            yield answer

    async def intercept_unary_unary(
        self, continuation: Continuation, client_call_details: Any, request: Any
    ) -> Any:
        self.begin(client_call_details)
        self.log.append(f"{self.name}> {request.text}")
        call = await continuation(client_call_details, request)
        answer = await call
        self.log.append(f"{self.name}< {answer.text}")
        return answer

    async def intercept_unary_stream(
        self, continuation: Continuation, client_call_details: Any, request: Any
    ) -> Any:
        self.begin(client_call_details)
        self.log.append(f"{self.name}> {request.text}")
        return self.answers(await continuation(client_call_details, request))

    async def intercept_stream_unary(
        self, continuation: Continuation, client_call_details: Any, request_iterator: Any
    ) -> Any:
        self.begin(client_call_details)
        call = await continuation(client_call_details, self.requests(request_iterator))
        answer = await call
        self.log.append(f"{self.name}< {answer.text}")
        return call

    async def intercept_stream_stream(
        self, continuation: Continuation, client_call_details: Any, request_iterator: Any
    ) -> Any:
        self.begin(client_call_details)
        call = await continuation(client_call_details, self.requests(request_iterator))
        return self.answers(call)


@asynccontextmanager
async def through(
    service: object, *interceptors: Any, token: str = ""
) -> AsyncGenerator[KindsClient, None]:
    async with served(service, token=token, sent=token) as server:
        yield KindsClient(intercepted(lend(server.connection), interceptors))


async def test_each_kind_of_call_shows_its_messages() -> None:
    logging = Logging()
    async with through(AsyncKinds(), logging) as client:
        assert "a" == (await client.unary(Ask(text="a"))).text
        assert "b c" == (await client.client_stream([Ask(text="b"), Ask(text="c")])).text
        answers = [each.text async for each in client.server_stream(Ask(text="d", number=2))]
        both = [each.text async for each in client.bidi([Ask(text="e"), Ask(text="f")])]

    assert (["d", "d"], ["e", "f"]) == (answers, both)
    # Requests and answers of a stream each way may overtake each other.
    bidi = logging.log.index("Bidi")
    assert [
        *("Unary", "> a", "< a"),
        *("ClientStream", "> b", "> c", "< b c"),
        *("ServerStream", "> d", "< d", "< d"),
    ] == logging.log[:bidi]
    assert sorted(["> e", "> f", "< e", "< f"]) == sorted(logging.log[bidi + 1 :])


async def test_the_first_interceptor_is_the_outermost() -> None:
    first, second = Logging("1"), Logging("2")
    second.log = first.log
    async with through(AsyncKinds(), first, second) as client:
        await client.unary(Ask(text="a"))
    assert ["1Unary", "1> a", "2Unary", "2> a", "2< a", "1< a"] == first.log


async def test_metadata_that_is_added_arrives_and_the_token_is_not_shown() -> None:
    seen: list[Any] = []

    class Marking(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(
            self, continuation: Continuation, client_call_details: Any, request: Any
        ) -> Any:
            metadata = client_call_details.metadata or grpc.aio.Metadata()
            seen.extend(iter(metadata))
            metadata.add("x-mark", "1")
            details = grpc.aio.ClientCallDetails(
                client_call_details.method,
                client_call_details.timeout,
                metadata,
                client_call_details.credentials,
                client_call_details.wait_for_ready,
            )
            return await continuation(details, request)

    class Echo(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            return Answer(text=str(current_call().metadata.get("x-mark")))

    async with through(Echo(), Marking(), token="secret") as client:
        answer = await client.unary(Ask(), metadata=[("x-mine", "2")])

    assert "1" == answer.text
    assert [("x-mine", "2")] == seen


async def test_an_answer_may_come_from_an_interceptor() -> None:
    class Cache(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(
            self, continuation: Continuation, client_call_details: Any, request: Any
        ) -> Any:
            return Answer(text="cached")

    async with through(AsyncKinds(), Cache()) as client:
        assert "cached" == (await client.unary(Ask())).text


def refuse() -> None:
    raise InvalidArgument("no", details=[Ask(text="why")])


class Refusing(AsyncKinds):
    async def unary(self, request: Ask) -> Answer:
        refuse()
        return Answer()

    async def client_stream(self, requests: Requests[Ask]) -> Answer:
        await anext(requests)
        refuse()
        return Answer()

    async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
        refuse()
        yield Answer()

    async def bidi(self, requests: Requests[Ask]) -> AsyncIterator[Answer]:
        await anext(requests)
        refuse()
        yield Answer()


class Passing(Logging):
    """Hands the call on as it is."""

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details, request)

    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details, request)

    async def intercept_stream_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details, request)

    async def intercept_stream_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details, request)


async def send(client: KindsClient, method: str, requests: AsyncIterator[Ask]) -> None:
    if method == "bidi":
        [_ async for _ in client.bidi(requests)]
    else:
        await client.client_stream(requests)


WAYS = pytest.mark.parametrize("way", [Logging, Passing])


@WAYS
@pytest.mark.parametrize("method", METHODS)
async def test_errors_are_ours_whatever_the_kind(method: str, way: type[Any]) -> None:
    async with through(Refusing(), way()) as client:
        with pytest.raises(InvalidArgument, match="no") as refused:
            await call_each(client, method)
    assert ((Ask(text="why"),), "yes") == (refused.value.details, refused.value.dispatched)


@WAYS
@pytest.mark.parametrize("method", ["client_stream", "bidi"])
async def test_a_stream_that_the_server_refuses_while_it_is_sent_tells_why(
    method: str, way: type[Any]
) -> None:
    async def endless() -> AsyncIterator[Ask]:
        while True:
            yield Ask(text="x" * 10_000)
            await asyncio.sleep(0)

    async with through(Refusing(), way()) as client:
        for _ in range(20):
            with pytest.raises(InvalidArgument, match="no"):
                await send(client, method, endless())


@WAYS
@pytest.mark.parametrize("method", ["client_stream", "bidi"])
async def test_what_the_callers_generator_raises_is_raised(method: str, way: type[Any]) -> None:
    closed: list[str] = []

    async def failing() -> AsyncIterator[Ask]:
        try:
            yield Ask(text="a")
            raise ZeroDivisionError("mine")
        finally:
            closed.append("closed")

    async with through(AsyncKinds(), way()) as client:
        with pytest.raises(ZeroDivisionError, match="mine"):
            await send(client, method, failing())
    assert ["closed"] == closed


@WAYS
async def test_leaving_a_stream_early_cancels_it_and_closes_the_callers_generator(
    way: type[Any],
) -> None:
    closed, cancelled = asyncio.Event(), asyncio.Event()

    class Endless(AsyncKinds):
        async def bidi(self, requests: Requests[Ask]) -> AsyncIterator[Answer]:
            try:
                yield Answer()
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    async def waiting() -> AsyncIterator[Ask]:
        try:
            yield Ask(text="a")
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with through(Endless(), way()) as client:
        answers = client.bidi(waiting())
        async for _ in answers:
            break
        await answers.aclose()
        async with asyncio.timeout(10):
            await closed.wait()
            await cancelled.wait()


async def test_what_an_interceptor_raises_is_raised() -> None:
    class Failing(Logging):
        def begin(self, details: Any) -> None:
            raise ZeroDivisionError("mine")

    async with through(AsyncKinds(), Failing()) as client:
        for method in METHODS:
            with pytest.raises(ZeroDivisionError, match="mine"):
                await call_each(client, method)


async def test_a_call_that_reached_nobody_is_made_again_through_the_interceptors() -> None:
    tries: list[int] = []

    class Unlucky(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(
            self, continuation: Continuation, client_call_details: Any, request: Any
        ) -> Any:
            tries.append(1)
            if len(tries) < 3:
                raise Unavailable("not now", dispatched=Dispatch.NO)
            return await continuation(client_call_details, request)

    async with through(AsyncKinds(), Unlucky()) as client:
        assert "a" == (await client.unary(Ask(text="a"))).text
    assert 3 == len(tries)


async def test_one_channel_is_made_for_the_calls_of_many_clients() -> None:
    logging = Logging()
    async with served(AsyncKinds()) as server:
        for _ in range(3):
            client = KindsClient(intercepted(lend(server.connection), [logging]))
            await client.unary(Ask())
        assert 1 == len(server.connection.further)


async def test_without_interceptors_the_lease_stays_as_it_is() -> None:
    lease = lend(Connection(grpc.aio.insecure_channel("unix:/nowhere")))
    assert lease is intercepted(lease, ())


async def test_a_test_may_give_interceptors_to_its_clients() -> None:
    logging = Logging()
    async with running(AsyncKinds(), client_interceptors=[logging]) as worker:
        assert isinstance(worker, RunningWorker)
        await worker.client(Kinds).unary(Ask(text="a"))
        await worker.client(Core).ping(PingRequest())
    assert ["Unary", "> a", "< a"] == logging.log


def test_blocking_clients_have_them_too(run_worker: Callable[..., BlockingWorker]) -> None:
    logging = Logging()
    client = run_worker(AsyncKinds(), client_interceptors=[logging]).client(Kinds)
    assert "a b" == client.client_stream([Ask(text="a"), Ask(text="b")]).text
    assert ["ClientStream", "> a", "> b", "< a b"] == logging.log


def test_what_is_no_interceptor_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^interceptors: Logging is a class; write Logging\(\)$"):
        check_interceptors([Logging])
    with pytest.raises(TypeError, match=r"^interceptors: object is none; derive it from grpc"):
        check_interceptors([object()])
