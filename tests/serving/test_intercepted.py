"""Interceptors as people write them for grpc.aio.server do their work around our handlers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import grpc.aio
import pytest

from hsu_worker import (
    App,
    Internal,
    InvalidArgument,
    Limits,
    PermissionDenied,
    Unauthenticated,
    Unimplemented,
    current_call,
)
from hsu_worker.errors import AppError
from hsu_worker.gen.hsu_core import Core, PingRequest
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.server import listening
from hsu_worker.testing import running
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds, KindsClient
from tests.gen.hsu_test_rules import Cart, Ruled
from tests.serving.kinds import AsyncKinds, SyncKinds, call_each
from tests.serving.served import raw
from tests.serving.test_validation import Shop

Continuation = Callable[[Any], Awaitable[Any]]
METHODS = ("unary", "client_stream", "server_stream", "bidi")


class Logging(grpc.aio.ServerInterceptor):
    """Wraps the handlers of all four kinds, as the usual recipes do."""

    def __init__(self, log: list[str], name: str = "") -> None:
        self.log = log
        self.name = name

    async def intercept_service(self, continuation: Continuation, details: Any) -> Any:
        handler = await continuation(details)
        name, log = f"{self.name}{details.method.rpartition('/')[2]}", self.log

        async def requests_of(iterator: Any) -> AsyncIterator[Any]:
            async for request in iterator:
                log.append(f"{name} > {request.text}")
                yield request

        async def unary_unary(request: Any, context: Any) -> Any:
            log.append(f"{name} > {request.text}")
            response = await handler.unary_unary(request, context)
            log.append(f"{name} < {response.text}")
            return response

        async def unary_stream(request: Any, context: Any) -> Any:
            log.append(f"{name} > {request.text}")
            async for response in handler.unary_stream(request, context):
                log.append(f"{name} < {response.text}")
                yield response

        async def stream_unary(iterator: Any, context: Any) -> Any:
            response = await handler.stream_unary(requests_of(iterator), context)
            log.append(f"{name} < {response.text}")
            return response

        async def stream_stream(iterator: Any, context: Any) -> Any:
            async for response in handler.stream_stream(requests_of(iterator), context):
                log.append(f"{name} < {response.text}")
                yield response

        make: Any
        behaviour: Any
        if handler.request_streaming and handler.response_streaming:
            make, behaviour = grpc.stream_stream_rpc_method_handler, stream_stream
        elif handler.request_streaming:
            make, behaviour = grpc.stream_unary_rpc_method_handler, stream_unary
        elif handler.response_streaming:
            make, behaviour = grpc.unary_stream_rpc_method_handler, unary_stream
        else:
            make, behaviour = grpc.unary_unary_rpc_method_handler, unary_unary
        return make(
            behaviour,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class Auth(grpc.aio.ServerInterceptor):
    """Lets in who has the key, as grpc's own example does."""

    def __init__(self, key: str) -> None:
        self.key = key

        async def abort(_request: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no key")

        self.abort = abort

    async def intercept_service(self, continuation: Continuation, details: Any) -> Any:
        metadata = dict(details.invocation_metadata)
        if metadata.get("x-key") == self.key:
            return await continuation(details)
        handler = await continuation(details)
        if handler.response_streaming:
            if handler.request_streaming:
                return grpc.stream_stream_rpc_method_handler(self.abort)
            return grpc.unary_stream_rpc_method_handler(self.abort)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(self.abort)
        return grpc.unary_unary_rpc_method_handler(self.abort)


class Passing(grpc.aio.ServerInterceptor):
    """Only looks."""

    def __init__(self, look: Callable[[Any], None]) -> None:
        self.look = look

    async def intercept_service(self, continuation: Continuation, details: Any) -> Any:
        self.look(details)
        return await continuation(details)


def one(behaviour: Callable[[Any, Any], Any]) -> Any:
    """An interceptor that answers unary calls with a behaviour of its own."""

    class Own(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Continuation, details: Any) -> Any:
            await continuation(details)
            return grpc.unary_unary_rpc_method_handler(behaviour)

    return Own()


@pytest.mark.parametrize("service", [AsyncKinds, SyncKinds])
async def test_handlers_of_all_kinds_can_be_wrapped_and_show_messages(service: type[Any]) -> None:
    log: list[str] = []
    async with running(App(service(), interceptors=[Logging(log)])) as worker:
        client = worker.client(Kinds)
        assert "a" == (await client.unary(Ask(text="a"))).text
        assert "b c" == (await client.client_stream([Ask(text="b"), Ask(text="c")])).text
        answers = [each.text async for each in client.server_stream(Ask(text="d", number=2))]
        both = [each.text async for each in client.bidi([Ask(text="e"), Ask(text="f")])]

    assert (["d", "d"], ["e", "f"]) == (answers, both)
    assert [
        "Unary > a",
        "Unary < a",
        "ClientStream > b",
        "ClientStream > c",
        "ClientStream < b c",
        "ServerStream > d",
        "ServerStream < d",
        "ServerStream < d",
        "Bidi > e",
        "Bidi < e",
        "Bidi > f",
        "Bidi < f",
    ] == log


async def test_the_first_interceptor_is_the_outermost() -> None:
    log: list[str] = []
    interceptors = [Logging(log, "1 "), Logging(log, "2 ")]
    async with running(App(AsyncKinds(), interceptors=interceptors)) as worker:
        await worker.client(Kinds).unary(Ask(text="a"))

    assert ["1 Unary > a", "2 Unary > a", "2 Unary < a", "1 Unary < a"] == log


@pytest.mark.parametrize("method", METHODS)
async def test_an_interceptor_may_refuse_a_call(method: str) -> None:
    async with running(App(AsyncKinds(), interceptors=[Auth("sesame")])) as worker:
        client = worker.client(Kinds)
        with pytest.raises(Unauthenticated, match=r"^UNAUTHENTICATED: no key$"):
            await call_each(client, method)
        assert "a" == (await client.unary(Ask(text="a"), metadata=[("x-key", "sesame")])).text


async def test_core_and_health_are_not_intercepted() -> None:
    async with running(App(AsyncKinds(), interceptors=[Auth("sesame")])) as worker:
        assert b"x" == (await worker.client(Core).ping(PingRequest(payload=b"x"))).payload


async def test_an_interceptor_sees_the_current_call_and_hands_on_context_variables() -> None:
    user: ContextVar[str] = ContextVar("user")
    seen: list[str] = []

    def look(details: Any) -> None:
        user.set("Ada")
        seen.append(current_call().id)

    class Asking(SyncKinds):
        def unary(self, request: Ask) -> Answer:
            return Answer(text=f"{user.get()} {current_call().id == seen[-1]}")

    async with running(App(Asking(), interceptors=[Passing(look)])) as worker:
        assert "Ada True" == (await worker.client(Kinds).unary(Ask())).text


async def test_an_interceptor_may_raise_what_a_handler_may() -> None:
    def refuse(_details: Any) -> None:
        raise PermissionDenied("not you")

    async with running(App(AsyncKinds(), interceptors=[Passing(refuse)])) as worker:
        with pytest.raises(PermissionDenied, match="not you"):
            await worker.client(Kinds).unary(Ask())


async def test_what_else_an_interceptor_raises_is_a_bug_with_an_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_details: Any) -> None:
        raise ZeroDivisionError("secret")

    async with running(App(AsyncKinds(), interceptors=[Passing(fail)])) as worker:
        with pytest.raises(Internal) as failed:
            await worker.client(Kinds).unary(Ask())

    assert "secret" not in failed.value.message
    assert failed.value.message.split()[-1] in caplog.text


async def test_what_a_handler_raises_goes_through_the_interceptors() -> None:
    caught: list[BaseException] = []

    class Catching(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Continuation, details: Any) -> Any:
            handler = await continuation(details)

            async def behaviour(request: Any, context: Any) -> Any:
                try:
                    return await handler.unary_unary(request, context)
                except Exception as error:
                    caught.append(error)
                    raise

            return grpc.unary_unary_rpc_method_handler(behaviour)

    class Refusing(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            raise InvalidArgument("no")

    async with running(App(Refusing(), interceptors=[Catching()])) as worker:
        with pytest.raises(InvalidArgument, match="no"):
            await worker.client(Kinds).unary(Ask())

    assert [InvalidArgument] == [type(each) for each in caught]


async def test_trailers_and_codes_that_an_interceptor_sets_arrive() -> None:
    async def behaviour(request: Any, context: Any) -> Answer:
        context.set_trailing_metadata((("x-cost", "3"),))
        return Answer(text=request.text)

    async with running(App(AsyncKinds(), interceptors=[one(behaviour)])) as worker:
        call = raw(worker.connection, "unary_unary", "/hsu.test.v1.Kinds/Unary")(b"")
        await call
        assert ("x-cost", "3") in list(iter(await call.trailing_metadata()))


async def test_a_plain_function_may_answer() -> None:
    def behaviour(request: Any, context: Any) -> Answer:
        return Answer(text="cached")

    async with running(App(AsyncKinds(), interceptors=[one(behaviour)])) as worker:
        assert "cached" == (await worker.client(Kinds).unary(Ask())).text


async def test_a_handler_that_writes_by_itself_may_answer() -> None:
    class Own(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Continuation, details: Any) -> Any:
            async def behaviour(_requests: Any, context: Any) -> None:
                while (request := await context.read()) is not grpc.aio.EOF:
                    await context.write(Answer(text=request.text * 2))

            return grpc.stream_stream_rpc_method_handler(behaviour)

    async with running(App(AsyncKinds(), interceptors=[Own()])) as worker:
        answers = worker.client(Kinds).bidi([Ask(text="a"), Ask(text="b")])
        assert ["aa", "bb"] == [answer.text async for answer in answers]


async def test_an_interceptor_that_finds_no_handler_says_unimplemented() -> None:
    class Nothing(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Continuation, details: Any) -> Any:
            return None

    async with running(App(AsyncKinds(), interceptors=[Nothing()])) as worker:
        with pytest.raises(Unimplemented, match="an interceptor found no handler"):
            await worker.client(Kinds).unary(Ask())


async def test_a_handler_of_another_kind_is_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    async def behaviour(request: Any, context: Any) -> Answer:
        return Answer()

    async with running(App(AsyncKinds(), interceptors=[one(behaviour)])) as worker:
        with pytest.raises(Internal):
            await worker.client(Kinds).client_stream([Ask()])

    assert "an interceptor gave /hsu.test.v1.Kinds/ClientStream a handler without" in caplog.text


async def test_leaving_a_stream_closes_the_handler_behind_the_interceptors() -> None:
    closed = asyncio.Event()

    class Endless(AsyncKinds):
        async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
            try:
                while True:
                    yield Answer()
            finally:
                closed.set()

    async with running(App(Endless(), interceptors=[Logging([])])) as worker:
        async for _ in worker.client(Kinds).server_stream(Ask()):
            break
        async with asyncio.timeout(10):
            await closed.wait()


async def test_a_request_that_breaks_a_rule_passes_the_interceptors_and_no_more() -> None:
    shop, seen = Shop(), list[str]()

    def look(details: Any) -> None:
        seen.append(details.method)

    async with running(App(shop, interceptors=[Passing(look)])) as worker:
        with pytest.raises(InvalidArgument) as refused:
            await worker.client(Ruled).order(Cart(customer="A", cash=True))

    assert (["/hsu.test.v1.Ruled/Order"], []) == (seen, shop.seen)
    assert "no" == refused.value.dispatched


async def test_slots_bound_the_handlers_and_ping_sees_them() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    class Waiting(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            entered.set()
            await leave.wait()
            return Answer()

    app = App(Waiting(), interceptors=[Logging([])], limits=Limits(concurrent_calls=1))
    async with running(app) as worker:
        call = asyncio.create_task(worker.client(Kinds).unary(Ask()))
        await entered.wait()
        assert (await worker.client(Core).ping(PingRequest())).busy
        leave.set()
        await call
        assert not (await worker.client(Core).ping(PingRequest())).busy


@asynccontextmanager
async def served_by(dispatcher: Dispatcher) -> AsyncGenerator[KindsClient, None]:
    with TemporaryDirectory() as folder:
        async with listening(dispatcher, Address(path=str(Path(folder) / "s"))) as address:
            connection = Connection.open(address)
            yield KindsClient(connection)
            await connection.close()


async def test_a_token_of_the_master_is_not_shown() -> None:
    seen: list[dict[str, Any]] = []

    def look(details: Any) -> None:
        seen.append(dict(details.invocation_metadata))

    for token in ("launch", ""):
        dispatcher = Dispatcher(token=token, limits=Limits())
        dispatcher.add(Kinds, AsyncKinds(), interceptors=[Passing(look)])
        async with served_by(dispatcher) as client:
            metadata = [("authorization", "Bearer launch"), ("x-mine", "1")]
            await client.unary(Ask(), metadata=metadata)

    assert [False, True] == ["authorization" in each for each in seen]
    assert ["1", "1"] == [each["x-mine"] for each in seen]


class ForThreads(grpc.ServerInterceptor):
    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        return continuation(handler_call_details)


def test_what_is_no_interceptor_is_refused_with_everything_else() -> None:
    with pytest.raises(AppError) as refused:
        App(AsyncKinds(), interceptors=[Auth, object(), ForThreads()])  # type: ignore[list-item]

    told = str(refused.value).splitlines()
    assert "interceptors: Auth is a class; write Auth()" == told[0]
    assert ("interceptors: object is none; derive it from grpc.aio.ServerInterceptor") == told[1]
    assert (
        "interceptors: ForThreads is one for threads; derive it from grpc.aio.ServerInterceptor, "
        "and write async def intercept_service"
    ) == told[2]
