import asyncio
import inspect
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc.aio
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from hsu_worker import (
    Aborted,
    Internal,
    NotFound,
    PermissionDenied,
    Requests,
    RpcError,
    implements,
)
from hsu_worker.errors import RPC_ERRORS, Code, Dispatch
from hsu_worker.testing import running
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds
from tests.serving.kinds import AsyncKinds, SyncKinds, call_each
from tests.serving.served import raw


@implements(Kinds)
class Raising:
    """Raises what it was given, in every kind of handler, sync and async."""

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure

    async def unary(self, request: Ask) -> Answer:
        raise self.failure

    def client_stream(self, requests: Requests[Ask]) -> Answer:
        raise self.failure

    async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
        yield Answer(text="first")
        raise self.failure

    def bidi(self, requests: Requests[Ask]) -> Iterator[Answer]:
        yield Answer(text="first")
        raise self.failure


async def error_of(failure: BaseException) -> RpcError:
    async with running(Raising(failure)) as worker:
        with pytest.raises(RpcError) as raised:
            await worker.client(Kinds).unary(Ask())
    return raised.value


@pytest.mark.parametrize("code", Code)
async def test_each_status_arrives_as_the_same_class(code: Code) -> None:
    error = await error_of(RPC_ERRORS[code]("what went wrong: ünïcode"))

    assert type(error) is RPC_ERRORS[code]
    assert error.message == "what went wrong: ünïcode"
    assert error.dispatched is Dispatch.YES


async def test_details_arrive_as_they_were_raised() -> None:
    details = [
        ErrorInfo(reason="TAKEN", domain="test", metadata={"by": "me"}),
        BadRequest(field_violations=[BadRequest.FieldViolation(field="text", description="long")]),
        RetryInfo(),
    ]

    error = await error_of(Aborted("taken", details=details))

    assert list(error.details) == details


@pytest.mark.parametrize("method", ["unary", "client_stream", "server_stream", "bidi"])
async def test_every_kind_of_handler_can_raise(method: str) -> None:
    async with running(Raising(NotFound("no such thing"))) as worker:
        with pytest.raises(NotFound) as raised:
            await call_each(worker.client(Kinds), method)

    assert raised.value.message == "no such thing"


async def test_answers_before_a_failure_arrive() -> None:
    async with running(Raising(NotFound("no more"))) as worker:
        answers = worker.client(Kinds).server_stream(Ask())
        first = await anext(answers)
        with pytest.raises(NotFound):
            await anext(answers)

    assert first.text == "first"


async def test_an_unexpected_exception_shows_an_id_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = await error_of(ValueError("the password is swordfish"))

    assert type(error) is Internal
    assert re.fullmatch(r"internal error [0-9a-f]{16}", error.message)
    assert error.details == ()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == f"{error.message} in /hsu.test.v1.Kinds/Unary"
    assert "swordfish" in caplog.text
    assert "raise self.failure" in caplog.text


async def test_the_id_is_the_callers_own_when_it_sends_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(Raising(ValueError("secret"))) as worker:
        with pytest.raises(Internal) as raised:
            await worker.client(Kinds).unary(Ask(), metadata=[("hsu-call-id", "0123456789abcdef")])

    assert raised.value.message == "internal error 0123456789abcdef"


async def test_an_id_that_is_not_hex_is_not_taken_over() -> None:
    async with running(Raising(ValueError("secret"))) as worker:
        with pytest.raises(Internal) as raised:
            await worker.client(Kinds).unary(Ask(), metadata=[("hsu-call-id", "x y'; DROP")])

    assert "DROP" not in raised.value.message


@pytest.mark.parametrize(
    "failure", [SystemExit(3), StopAsyncIteration(), asyncio.CancelledError(), BaseException("no")]
)
async def test_no_exception_of_a_handler_ends_the_worker(failure: BaseException) -> None:
    async with running(Raising(failure)) as worker:
        client = worker.client(Kinds)
        for _ in range(2):
            with pytest.raises(Internal):
                await client.unary(Ask(), timeout=10)
        with pytest.raises(Internal):
            await client.client_stream([Ask()], timeout=10)


async def test_stop_iteration_in_a_synchronous_handler_is_answered() -> None:
    async with running(Raising(StopIteration())) as worker:
        with pytest.raises(Internal):
            await worker.client(Kinds).client_stream([Ask()], timeout=10)


async def never() -> None:
    raise AssertionError("nobody awaits it")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Ask(), "Ask; expected Answer"),
        (None, "NoneType; expected Answer; does every way through it return one?"),
        (never, "coroutine; expected Answer; `await` it before it is returned"),
    ],
)
async def test_an_answer_of_the_wrong_type_is_a_bug_of_the_worker(
    answer: Any, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    given = answer() if answer is never else answer

    class Wrong(AsyncKinds):
        async def unary(self, request: Ask) -> Any:
            return given

    async with running(Wrong()) as worker:
        with pytest.raises(Internal, match="internal error"):
            await worker.client(Kinds).unary(Ask())
    if inspect.iscoroutine(given):
        given.close()

    [record] = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.exc_info is not None
    _, error, frames = record.exc_info
    assert f"the handler of /hsu.test.v1.Kinds/Unary answered with {told}" == str(error)
    # The framework's own frames tell nothing.
    assert frames is None


async def test_what_is_no_stream_of_answers_is_named(caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(SyncKinds):
        def server_stream(self, request: Ask) -> Any:
            return None

    async with running(Wrong()) as worker:
        with pytest.raises(Internal, match="internal error"):
            _ = [answer async for answer in worker.client(Kinds).server_stream(Ask())]

    assert (
        "TypeError: the handler of /hsu.test.v1.Kinds/ServerStream answered with NoneType; "
        "expected an iterator of Answer"
    ) in caplog.text
    assert "Traceback" not in caplog.text


async def test_an_error_of_another_worker_passes_on_as_dispatched() -> None:
    # The other worker never ran it, but this one did: nobody may run this call again.
    refused = PermissionDenied("not you", details=[ErrorInfo(reason="X")], dispatched=Dispatch.NO)

    error = await error_of(refused)

    assert type(error) is PermissionDenied
    assert (error.message, error.details) == ("not you", (ErrorInfo(reason="X"),))
    assert error.dispatched is Dispatch.YES


async def test_a_body_that_is_no_request_is_refused_before_the_handler() -> None:
    async with running(Raising(AssertionError("the handler ran"))) as worker:
        call = raw(worker.connection, "unary_unary", "/hsu.test.v1.Kinds/Unary")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(b"\xff\xff\xff")

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details() == "the request of /hsu.test.v1.Kinds/Unary is no hsu.test.v1.Ask"
    assert raised.value.trailing_metadata()["hsu-dispatched"] == "no"


async def test_a_malformed_request_in_a_stream_ends_the_call() -> None:
    async with running(AsyncKinds()) as worker:
        call = raw(worker.connection, "stream_unary", "/hsu.test.v1.Kinds/ClientStream")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(iter([Ask(text="a").SerializeToString(), b"\xff\xff"]))

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_handler_that_raises_what_closes_generators_answers_all_the_same() -> None:
    async with asyncio.timeout(10):
        error = await error_of(GeneratorExit())

    assert isinstance(error, Internal)


async def test_a_traceback_in_the_log_begins_in_the_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(Raising(ZeroDivisionError())) as worker:
        for method in ("unary", "client_stream", "server_stream", "bidi"):
            with pytest.raises(Internal):
                await call_each(worker.client(Kinds), method)

    frames = [record.exc_info[2] for record in caplog.records if record.exc_info]
    assert ["unary", "client_stream", "server_stream", "bidi"] == [
        each.tb_frame.f_code.co_name for each in frames if each
    ]
