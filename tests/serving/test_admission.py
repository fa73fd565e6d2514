import asyncio

import grpc.aio
import pytest

from hsu_worker import Unauthenticated, Unavailable, current_call, implements
from hsu_worker.errors import Dispatch, RpcError
from hsu_worker.testing import running
from hsu_worker.wire.status import error_info
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds
from tests.serving.kinds import AsyncKinds, call_each
from tests.serving.served import raw, served

CALLS = ["unary", "client_stream", "server_stream", "bidi"]


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("sent", ["", "wrong", "righ", "rightt"])
async def test_a_call_without_the_token_is_refused(method: str, sent: str) -> None:
    async with served(AsyncKinds(), token="right", sent=sent) as server:
        with pytest.raises(Unauthenticated) as raised:
            await call_each(server.client, method)

    assert raised.value.message == (
        "the token is missing or wrong: send `authorization: Bearer <token>`"
    )
    assert raised.value.dispatched is Dispatch.NO


@pytest.mark.parametrize("method", CALLS)
async def test_a_call_with_the_token_is_let_in(method: str) -> None:
    async with served(AsyncKinds(), token="right", sent="right") as server:
        await call_each(server.client, method)


async def test_the_token_is_checked_before_the_body_is_parsed() -> None:
    async with served(AsyncKinds(), token="right") as server:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await raw(server.connection, "unary_unary", "/hsu.test.v1.Kinds/Unary")(b"\xff")

    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_the_token_is_checked_before_the_gate() -> None:
    # A stranger doesn't learn whether the worker runs.
    def closed() -> RpcError:
        return Unavailable("closed")

    async with served(AsyncKinds(), token="right", gate=closed) as server:
        with pytest.raises(Unauthenticated):
            await server.client.unary(Ask())


async def test_a_stranger_does_not_learn_what_is_served() -> None:
    async with served(AsyncKinds(), token="right") as server:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await raw(server.connection, "unary_unary", "/no.such.Service/Method")(b"")

    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", CALLS)
async def test_a_closed_gate_refuses_before_any_handler(method: str) -> None:
    def closed() -> RpcError:
        return Unavailable("not now", details=[error_info("NOT_RUNNING")])

    async with served(AsyncKinds(), gate=closed) as server:
        with pytest.raises(Unavailable) as raised:
            await call_each(server.client, method)

        assert raised.value.message == "not now"
        assert raised.value.dispatched is Dispatch.NO
        assert raised.value.details == (error_info("NOT_RUNNING"),)
        assert server.dispatcher.calls.total == 0


async def test_an_unknown_interface_is_answered_with_those_that_are_served() -> None:
    async with served(AsyncKinds()) as server:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await raw(server.connection, "unary_unary", "/no.such.Service/Method")(b"")

    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert raised.value.details() == (
        "no.such.Service is not served here; served are hsu.test.v1.Kinds"
    )
    assert raised.value.trailing_metadata()["hsu-dispatched"] == "no"


@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream", "stream_unary", "stream_stream"])
async def test_an_unknown_method_is_answered_with_those_that_exist(kind: str) -> None:
    async with running(AsyncKinds()) as worker:
        call = raw(worker.connection, kind, "/hsu.test.v1.Kinds/Unray")(
            b"" if kind.startswith("unary") else iter([b""])
        )
        code, details = await call.code(), await call.details()

    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert details == (
        "hsu.test.v1.Kinds has no method Unray; it has Unary, ClientStream, ServerStream, Bidi"
    )


async def test_the_handler_sees_the_call_but_not_the_token() -> None:
    @implements(Kinds)
    class Looking(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            call = current_call()
            assert call.interface is Kinds
            assert call.method is Kinds.methods["unary"]
            assert call.peer.startswith("unix:")
            assert call.metadata["x-colour"] == "green"
            assert call.metadata["x-raw-bin"] == b"\x00\xff"
            assert "authorization" not in call.metadata
            assert call.time_remaining is not None
            assert 9 < call.time_remaining < 12  # grpc rounds it on the wire
            assert not call.cancelled
            return Answer(text=call.id)

    async with served(Looking(), token="t", sent="t") as server:
        answer = await server.client.unary(
            Ask(),
            timeout=11,
            metadata=[
                ("x-colour", "green"),
                ("x-raw-bin", b"\x00\xff"),
                ("hsu-call-id", "feedbeef"),
            ],
        )

    assert answer.text == "feedbeef"


async def test_without_a_deadline_the_call_has_none() -> None:
    class Looking(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            assert current_call().deadline is None
            assert current_call().time_remaining is None
            return Answer()

    async with served(Looking()) as server:
        await server.client.unary(Ask())


async def test_calls_that_a_handler_makes_carry_its_id_on() -> None:
    class Inner(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            return Answer(text=current_call().id)

    async with running(Inner()) as inner:

        class Outer(AsyncKinds):
            async def unary(self, request: Ask) -> Answer:
                answer = await inner.client(Kinds).unary(Ask())
                return Answer(text=f"{current_call().id} {answer.text}")

        async with running(Outer()) as outer:
            ids = (await outer.client(Kinds).unary(Ask())).text.split()

    assert len(set(ids)) == 1


@pytest.mark.parametrize("method", CALLS)
async def test_a_stranger_is_refused_before_anything_of_a_body_is_received(method: str) -> None:
    """grpc would take a message of any size into memory before it asks a handler."""
    path = Kinds.methods[method].path
    async with served(AsyncKinds(), token="right") as server, asyncio.timeout(10):
        call = raw(server.connection, "stream_stream", path)()
        # Nothing is sent, and the requests don't end.
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
