"""Errors over a true connection: the same class, message and details on the other side."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from hsu_worker import InvalidArgument, NotFound, RpcError, Unavailable
from hsu_worker.errors import RPC_ERRORS, Code, Dispatch
from hsu_worker.wire.metadata import DISPATCHED, STATUS_DETAILS
from hsu_worker.wire.status import (
    GRPC_CODES,
    MAX_DETAILS,
    MAX_MESSAGE,
    error_info,
    from_grpc,
    system_words,
    to_status,
    to_trailers,
)

DETAILS: list[Message] = [
    ErrorInfo(reason="TOO_LONG", domain="example.com", metadata={"limit": "10"}),
    BadRequest(field_violations=[BadRequest.FieldViolation(field="text", description="is empty")]),
    RetryInfo(retry_delay=Duration(seconds=3)),
]


class Server:
    """Raises one error for every call, as a worker's dispatch does."""

    def __init__(self) -> None:
        self.error: RpcError | None = None
        self.answers_first = False
        self.called = asyncio.Event()

    def service(self, _details: Any) -> Any:
        return grpc.unary_stream_rpc_method_handler(self._answer)

    async def _answer(self, _request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.called.set()
        if self.answers_first:
            yield b""
        if self.error is None:
            await asyncio.Event().wait()
        else:
            code, message, trailers = to_status(self.error)
            await context.abort(code, message, trailers)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[Server, grpc.aio.Channel]]:
    ours = Server()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((ours,))  # type: ignore[arg-type]
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            yield ours, channel
    finally:
        await server.stop(None)


async def failed(channel: grpc.aio.Channel, timeout: float | None = None) -> RpcError:
    answered = False
    try:
        method: Any = channel.unary_stream("/any.Service/Method")
        async for _ in method(b"", timeout=timeout):
            answered = True
    except grpc.aio.AioRpcError as error:
        return from_grpc(error, answered=answered)
    raise AssertionError("the call did not fail")


async def test_every_class_arrives_as_itself(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as (server, channel):
        for kind in RPC_ERRORS.values():
            for dispatched in Dispatch:
                server.error = kind("größe: 100 %", details=DETAILS, dispatched=dispatched)
                error = await failed(channel)
                assert type(server.error) is type(error)
                assert ("größe: 100 %", tuple(DETAILS), dispatched) == (
                    error.message,
                    error.details,
                    error.dispatched,
                )


async def test_a_subclass_of_the_user_s_arrives_as_its_code_s_class(tmp_path: Path) -> None:
    class TooLong(InvalidArgument):
        pass

    async with serving(tmp_path / "s") as (server, channel):
        server.error = TooLong("too long")
        error = await failed(channel)
        assert (InvalidArgument, "too long") == (type(error), error.message)


async def test_a_detail_of_an_unknown_type_stays_packed(tmp_path: Path) -> None:
    unknown = PackedAny(type_url="type.googleapis.com/nowhere.v1.Unknown", value=b"\x08\x01")
    async with serving(tmp_path / "s") as (server, channel):
        server.error = NotFound("gone", details=[unknown, DETAILS[0]])
        assert (unknown, DETAILS[0]) == (await failed(channel)).details


@pytest.mark.parametrize("char", ["x", "%", "ä", "\n", "\U0001f600", "\udc80"])
async def test_a_long_message_is_cut_and_the_code_arrives(tmp_path: Path, char: str) -> None:
    message = char * 100_000
    async with serving(tmp_path / "s") as (server, channel):
        server.error = InvalidArgument(message, details=DETAILS)
        error = await failed(channel)
        assert isinstance(error, InvalidArgument)
        assert error.message.endswith("...")
        kept = error.message.removesuffix("...")
        assert len(kept) >= MAX_MESSAGE // 12
        assert message.replace("\udc80", "?").startswith(kept)
        assert tuple(DETAILS) == error.details


async def test_details_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    large = ErrorInfo(reason="x" * MAX_DETAILS)
    many: Sequence[Message] = [ErrorInfo(reason="y" * 100)] * 1000
    async with serving(tmp_path / "s") as (server, channel):
        server.error = NotFound("gone" * 1000, details=[DETAILS[0], large, DETAILS[1], *many])
        error = await failed(channel)
        assert isinstance(error, NotFound)
        assert (DETAILS[0], DETAILS[1], many[0]) == error.details[:3]
        assert len(error.details) > 10


@given(st.text(st.characters(codec=None), max_size=3000))
def test_any_message_fits(message: str) -> None:
    _, sent, _ = to_status(InvalidArgument(message))
    on_wire = sum(
        1 if " " <= chr(byte) <= "~" and byte != ord("%") else 3 for byte in sent.encode()
    )
    assert on_wire <= MAX_MESSAGE + len("...")


# -- whether the call reached the worker


def test_the_trailer_says_whether_the_call_was_dispatched() -> None:
    assert ((DISPATCHED, "no"),) == to_trailers(Unavailable(dispatched=Dispatch.NO))
    assert [DISPATCHED, STATUS_DETAILS] == [
        name for name, _ in to_trailers(NotFound(details=DETAILS))
    ]


def aio_error(
    code: grpc.StatusCode,
    *,
    initial: Sequence[tuple[str, str]] = (),
    trailing: Sequence[tuple[str, str | bytes]] = (),
    details: str | None = None,
) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(*initial), grpc.aio.Metadata(*trailing), details
    )


LOCAL = {
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "CANCELLED",
    "INTERNAL",
    "UNKNOWN",
    "RESOURCE_EXHAUSTED",
}


@pytest.mark.parametrize("code", Code)
def test_without_a_word_from_the_worker_it_is_told_by_the_code(code: Code) -> None:
    expected = Dispatch.UNKNOWN if code.name in LOCAL else Dispatch.YES
    assert expected is from_grpc(aio_error(GRPC_CODES[code])).dispatched


@pytest.mark.parametrize("code", Code)
def test_an_answer_or_metadata_proves_that_it_was_dispatched(code: Code) -> None:
    grpc_code = GRPC_CODES[code]
    assert Dispatch.YES is from_grpc(aio_error(grpc_code), answered=True).dispatched
    assert Dispatch.YES is from_grpc(aio_error(grpc_code, initial=[("k", "v")])).dispatched


@pytest.mark.parametrize("dispatched", Dispatch)
def test_the_trailer_is_believed_before_all_but_an_answer(dispatched: Dispatch) -> None:
    error = aio_error(
        grpc.StatusCode.NOT_FOUND, initial=[("k", "v")], trailing=[(DISPATCHED, dispatched.value)]
    )
    assert dispatched is from_grpc(error).dispatched
    assert Dispatch.YES is from_grpc(error, answered=True).dispatched


@pytest.mark.parametrize("word", ["", "maybe", "NO"])
def test_another_word_in_the_trailer_says_nothing(word: str) -> None:
    error = aio_error(grpc.StatusCode.UNAVAILABLE, trailing=[(DISPATCHED, word)])
    assert Dispatch.UNKNOWN is from_grpc(error).dispatched


async def test_a_connection_that_was_never_made_is_unknown(tmp_path: Path) -> None:
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'nobody'}") as channel:
        error = await failed(channel)
    assert (Code.UNAVAILABLE, Dispatch.UNKNOWN) == (error.code, error.dispatched)


async def test_a_deadline_that_passes_here_is_unknown(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as (server, channel):
        error = await failed(channel, timeout=0.2)
        assert server.called.is_set()
        assert (Code.DEADLINE_EXCEEDED, Dispatch.UNKNOWN) == (error.code, error.dispatched)


@pytest.mark.parametrize(
    ("code", "words", "told"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", "no answer within the deadline"),
        (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "Stream removed (Deadline Exceeded)",
            "no answer within the deadline",
        ),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "the model is slow", "the model is slow"),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", "the connection broke: Socket closed"),
        (
            grpc.StatusCode.UNAVAILABLE,
            "Stream removed (recvmsg:Connection reset by peer)",
            "the connection broke: Connection reset by peer",
        ),
        (grpc.StatusCode.UNAVAILABLE, "the disk is full", "the disk is full"),
        (grpc.StatusCode.INTERNAL, "Socket closed", "Socket closed"),
    ],
)
def test_what_grpc_itself_says_of_a_call_is_told_in_plain_words(
    code: grpc.StatusCode, words: str, told: str
) -> None:
    assert told == from_grpc(aio_error(code, details=words)).message


@pytest.mark.parametrize(
    "words",
    [
        "Received message larger than max (2 vs. 1)",
        "SERVER: Received message larger than max (2 vs. 1)",
        # What was compressed says no more.
        "Decompressed message larger than max",
    ],
)
def test_a_message_over_the_limit_says_what_to_do(words: str) -> None:
    error = from_grpc(aio_error(grpc.StatusCode.RESOURCE_EXHAUSTED, details=words))

    assert error.message == f"{words}: send less, or raise App(limits=Limits(message_bytes=...))"


async def test_a_deadline_that_passes_is_told_in_plain_words(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as (_, channel):
        assert "no answer within the deadline" == (await failed(channel, timeout=0.2)).message


async def test_a_failure_after_an_answer_was_dispatched(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as (server, channel):
        server.answers_first = True
        error = await failed(channel, timeout=0.2)
        assert (Code.DEADLINE_EXCEEDED, Dispatch.YES) == (error.code, error.dispatched)


# -- what others send


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xff", "text", Status(code=5, message="x").SerializeToString()],
)
def test_status_details_that_say_nothing_are_no_details(data: str | bytes) -> None:
    error = from_grpc(aio_error(grpc.StatusCode.NOT_FOUND, trailing=[(STATUS_DETAILS, data)]))
    assert () == error.details


def test_a_damaged_detail_stays_packed() -> None:
    damaged = PackedAny(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
    data = Status(details=[damaged]).SerializeToString()
    error = from_grpc(aio_error(grpc.StatusCode.NOT_FOUND, trailing=[(STATUS_DETAILS, data)]))
    assert (damaged,) == error.details


def test_a_code_that_means_nothing_here_is_unknown() -> None:
    error = from_grpc(aio_error(grpc.StatusCode.OK, details=None))
    assert (Code.UNKNOWN, "") == (error.code, error.message)


def test_our_own_reasons_have_our_domain() -> None:
    assert ErrorInfo(reason="NOT_RUNNING", domain="hsu", metadata={"state": "STOPPED"}) == (
        error_info("NOT_RUNNING", state="STOPPED")
    )


@pytest.mark.parametrize(
    "words", ["Connection refused", "Connection refused (111)", "x: Connection refused"]
)
def test_why_there_is_no_connection_is_told_in_the_systems_words(words: str) -> None:
    assert "Connection refused" == system_words(f"failed to connect to all addresses: {words}")


def test_a_server_of_something_else_is_no_grpc() -> None:
    words = (
        "failed to connect to all addresses; last error: INTERNAL: ipv4:127.0.0.1:80: Failed parsing "
        "HTTP/2 (Expected SETTINGS frame as the first frame, got frame type 79)"
    )
    assert "what listens there speaks no gRPC" == system_words(words)
