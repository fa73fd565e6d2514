"""The cases of gRPC's own interop tests, against Python workers: directly, and through a gateway.

They are called as any client calls them: by grpc alone, with a token.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from hsu_worker.conformance import Help, command
from hsu_worker.conformance.lab import Lab
from hsu_worker.master import Config, Master
from hsu_worker.master.keeping import Keeper
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.metadata import Metadata
from tests.conformance.stubs import ROOT, compiled
from tests.gen.hsu_test_kinds import Answer, Ask

SERVE = [sys.executable, "-m", "hsu_worker.worker"]
OURS = [*SERVE, "tests.interop.interop_service:Interop"]
SAYING = [*SERVE, "tests.interop.interop_service:saying"]
BARE = [sys.executable, str(ROOT / "tests" / "conformance" / "whole_worker.py")]

#: The sizes of gRPC's own cases.
LARGE_REQUEST, LARGE_ANSWER = 271_828, 314_159
REQUESTS = (27_182, 8, 1_828, 45_904)
ANSWERS = (31_415, 9, 2_653, 58_979)

#: The largest message that a worker takes and sends, unless told otherwise; and the payload of one of
#: that size, when there is nothing else in it.
LIMIT = 4 << 20
LARGEST = LIMIT - 5
COMPRESSIONS = (grpc.Compression.NoCompression, grpc.Compression.Gzip)

SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
PATIENCE = 20


@dataclass(frozen=True)
class Door:
    """A way to a worker: a channel, what every call on it carries, and where it leads."""

    channel: Any
    metadata: Metadata
    address: Address

    def method(self, kind: str, name: str, service: str = "hsu.test.v1.Kinds") -> Any:
        stub = getattr(self.channel, kind)(
            f"/{service}/{name}",
            request_serializer=Ask.SerializeToString,
            response_deserializer=Answer.FromString,
        )

        def call(
            *requests: Any, metadata: Metadata = (), timeout: float = PATIENCE, **more: Any
        ) -> Any:
            sent = grpc.aio.Metadata(*self.metadata, *metadata)
            return stub(*requests, metadata=sent, timeout=timeout, **more)

        return call

    async def unary(self, request: Ask, **more: Any) -> Answer:
        answer: Answer = await self.method("unary_unary", "Unary")(request, **more)
        return answer

    async def until_left(self, name: str) -> None:
        """Wait until the worker has noticed that a caller has left."""
        async with asyncio.timeout(PATIENCE):
            while not (await self.unary(Ask(text=f"left {name}"))).number:
                pass


async def empty_unary(door: Door) -> None:
    assert Answer() == await door.unary(Ask())


async def large_unary(door: Door) -> None:
    answer = await door.unary(Ask(payload=bytes(LARGE_REQUEST), number=LARGE_ANSWER))
    assert Answer(payload=bytes(LARGE_ANSWER), number=LARGE_REQUEST) == answer


async def largest_request(door: Door) -> None:
    request = Ask(payload=bytes(LARGEST))
    assert LIMIT == request.ByteSize()
    for compression in COMPRESSIONS:
        answer = await door.unary(request, compression=compression)
        assert Answer(number=LARGEST) == answer


async def largest_both_ways(door: Door) -> None:
    # Each message holds a number, too.
    payload = bytes(LARGEST - 5)
    request, answer = Ask(payload=payload), Answer(payload=payload)
    request.number = answer.number = len(payload)
    assert LIMIT == request.ByteSize() == answer.ByteSize()
    for compression in COMPRESSIONS:
        assert answer == await door.unary(request, compression=compression)


async def request_over_the_limit(door: Door) -> None:
    # What is compressed counts as what it is when it is not.
    for size in (LARGEST + 1, 3 * LARGEST):
        for compression in COMPRESSIONS:
            await is_too_large(door, Ask(payload=bytes(size)), compression=compression)
    assert Answer() == await door.unary(Ask())


async def answer_over_the_limit(door: Door) -> None:
    error = await is_too_large(door, Ask(number=LARGEST + 1))
    assert OVER_THE_LIMIT == error.details()
    trailers = dict(iter(error.trailing_metadata()))
    assert "yes" == trailers["hsu-dispatched"]
    assert b"RESPONSE_TOO_LARGE" in trailers["grpc-status-details-bin"]
    assert Answer() == await door.unary(Ask())


OVER_THE_LIMIT = (
    "the response of /hsu.test.v1.Kinds/Unary has 4194305 bytes, 4194304 are possible: send less, or "
    "raise App(limits=Limits(message_bytes=...))"
)


async def is_too_large(door: Door, request: Ask, **more: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await door.unary(request, **more)
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == raised.value.code()
    return raised.value


async def client_compressed_unary(door: Door) -> None:
    request = Ask(payload=bytes(LARGE_REQUEST), number=LARGE_ANSWER)
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        answer = await door.unary(request, compression=compression)
        assert Answer(payload=bytes(LARGE_ANSWER), number=LARGE_REQUEST) == answer


async def client_compressed_streaming(door: Door) -> None:
    call = door.method("stream_unary", "ClientStream")(compression=grpc.Compression.Gzip)
    for size in REQUESTS:
        await call.write(Ask(payload=bytes(size)))
    await call.done_writing()
    assert sum(REQUESTS) == (await call).number


async def client_streaming(door: Door) -> None:
    requests = [Ask(payload=bytes(size)) for size in REQUESTS]
    answer = await door.method("stream_unary", "ClientStream")(iter(requests))
    assert Answer(number=74_922) == answer


async def server_streaming(door: Door) -> None:
    request = Ask(text=" ".join(map(str, ANSWERS)))
    answers = door.method("unary_stream", "ServerStream")(request)
    assert [*ANSWERS] == [len(answer.payload) async for answer in answers]


async def ping_pong(door: Door) -> None:
    call = door.method("stream_stream", "Bidi")()
    for asked, given in zip(REQUESTS, ANSWERS, strict=True):
        await call.write(Ask(payload=bytes(asked), number=given))
        assert given == len((await call.read()).payload)
    await call.done_writing()
    assert grpc.aio.EOF == await call.read()
    assert grpc.StatusCode.OK == await call.code()


async def empty_stream(door: Door) -> None:
    call = door.method("stream_stream", "Bidi")()
    await call.done_writing()
    assert grpc.aio.EOF == await call.read()
    assert grpc.StatusCode.OK == await call.code()


async def cancel_after_begin(door: Door) -> None:
    call = door.method("stream_unary", "ClientStream")()
    await call.write(Ask(text="after-begin"))
    call.cancel()
    assert grpc.StatusCode.CANCELLED == await call.code()


async def cancel_after_first_response(door: Door) -> None:
    call = door.method("stream_stream", "Bidi")()
    await call.write(Ask(text="after-first", payload=bytes(REQUESTS[0]), number=ANSWERS[0]))
    assert ANSWERS[0] == len((await call.read()).payload)
    call.cancel()
    assert grpc.StatusCode.CANCELLED == await call.code()
    await door.until_left("after-first")


async def timeout_on_sleeping_server(door: Door) -> None:
    call = door.method("stream_stream", "Bidi")(timeout=1)
    await call.write(Ask(text="sleeper", number=1))
    await call.read()
    await call.write(Ask(text="sleep"))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    assert grpc.StatusCode.DEADLINE_EXCEEDED == raised.value.code()
    await door.until_left("sleeper")


async def status_code_and_message(door: Door) -> None:
    for code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.FAILED_PRECONDITION):
        number, message = code.value[0], "test status message"
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await door.unary(Ask(text=f"status {message}", number=number))
        call = door.method("stream_stream", "Bidi")()
        await call.write(Ask(text=message, number=-number))
        assert [(code, message)] * 2 == [
            (unary.value.code(), unary.value.details()),
            (await call.code(), await call.details()),
        ]


async def special_status_message(door: Door) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await door.unary(Ask(text=f"status {SPECIAL}", number=2))
    assert (grpc.StatusCode.UNKNOWN, SPECIAL) == (raised.value.code(), raised.value.details())


async def unimplemented_method(door: Door) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await door.method("unary_unary", "UnimplementedCall")(Ask())
    assert grpc.StatusCode.UNIMPLEMENTED == raised.value.code()


async def unimplemented_service(door: Door) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await door.method("unary_unary", "Unary", "no.such.v1.Service")(Ask())
    assert grpc.StatusCode.UNIMPLEMENTED == raised.value.code()


async def custom_metadata_sent(door: Door) -> None:
    for name, value in (("x-text", "a value, of text"), ("x-bytes-bin", b"\xab\xab\xab\x00\n")):
        answer = await door.unary(Ask(text=f"metadata {name}"), metadata=((name, value),))
        assert (value.encode() if isinstance(value, str) else value) == answer.payload


async def custom_metadata_both_ways(door: Door) -> None:
    initial = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
    trailing = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
    call = door.method("unary_unary", "Unary")(Ask(text="x"), metadata=(initial, trailing))
    await call
    assert initial in tuple(await call.initial_metadata())
    assert trailing in tuple(await call.trailing_metadata())


async def custom_metadata_of_a_stream(door: Door) -> None:
    initial = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
    trailing = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
    call = door.method("stream_stream", "Bidi")(metadata=(initial, trailing))
    # It comes without waiting for a message.
    assert initial in tuple(await call.initial_metadata())
    await call.write(Ask(number=ANSWERS[0]))
    assert ANSWERS[0] == len((await call.read()).payload)
    await call.done_writing()
    assert grpc.aio.EOF == await call.read()
    assert trailing in tuple(await call.trailing_metadata())


async def server_compressed_unary(door: Door) -> None:
    for compression in ("Gzip", "Deflate"):
        asked = (("x-compress", compression),)
        answer = await door.unary(Ask(number=LARGE_ANSWER), metadata=asked)
        assert Answer(payload=bytes(LARGE_ANSWER)) == answer


async def server_compressed_largest(door: Door) -> None:
    asked = (("x-compress", "Gzip"),)
    assert Answer(payload=bytes(LARGEST)) == await door.unary(Ask(number=LARGEST), metadata=asked)
    error = await is_too_large(door, Ask(number=LARGEST + 1), metadata=asked)
    assert OVER_THE_LIMIT == error.details()


async def server_compressed_streaming(door: Door) -> None:
    call = door.method("stream_stream", "Bidi")(metadata=(("x-compress", "Gzip"),))
    for size in ANSWERS:
        await call.write(Ask(number=size))
        assert Answer(payload=bytes(size)) == await call.read()
    await call.done_writing()
    assert grpc.aio.EOF == await call.read()


async def server_compressed_on_the_wire(door: Door) -> None:
    assert await bytes_of_an_answer(door) > LARGE_ANSWER
    assert await bytes_of_an_answer(door, ("x-compress", "Gzip")) < LARGE_ANSWER / 10


async def server_compressed_no_further(door: Door) -> None:
    assert await bytes_of_an_answer(door, ("x-compress", "Gzip")) > LARGE_ANSWER


async def bytes_of_an_answer(door: Door, *metadata: tuple[str, str]) -> int:
    """Make a call behind a socket that counts what comes back."""
    sizes: list[int] = []

    async def copy(
        source: asyncio.StreamReader, sink: asyncio.StreamWriter, sizes: list[int]
    ) -> None:
        # Either side may be gone first.
        with suppress(ConnectionError):
            while data := await source.read(1 << 16):
                sizes.append(len(data))
                sink.write(data)
        sink.close()

    async def pass_on(caller: asyncio.StreamReader, to_caller: asyncio.StreamWriter) -> None:
        worker, to_worker = await asyncio.open_unix_connection(door.address.path)
        await asyncio.gather(copy(caller, to_worker, []), copy(worker, to_caller, sizes))

    with tempfile.TemporaryDirectory(prefix="hsu-t-") as folder:
        address = Address.parse(f"unix:{folder}/counted.sock")
        async with await asyncio.start_unix_server(pass_on, address.path):
            connection = Connection.open(address)
            counted = Door(connection.channel, door.metadata, address)
            await counted.unary(Ask(number=LARGE_ANSWER), metadata=metadata)
            await connection.close()
    return sum(sizes)


Case = Callable[[Door], Awaitable[None]]

#: Of a handler of ours, which says nothing but its messages and its errors.
CASES: tuple[Case, ...] = (
    empty_unary,
    large_unary,
    largest_request,
    largest_both_ways,
    request_over_the_limit,
    answer_over_the_limit,
    client_compressed_unary,
    client_compressed_streaming,
    client_streaming,
    server_streaming,
    ping_pong,
    empty_stream,
    cancel_after_begin,
    cancel_after_first_response,
    timeout_on_sleeping_server,
    status_code_and_message,
    special_status_message,
    unimplemented_method,
    unimplemented_service,
    custom_metadata_sent,
)
#: Of one behind an interceptor of ours, which can say more.
SAYING_CASES: tuple[Case, ...] = (
    custom_metadata_both_ways,
    custom_metadata_of_a_stream,
    server_compressed_unary,
    server_compressed_largest,
    server_compressed_streaming,
)
#: Of a worker on bare grpcio.
BARE_CASES: tuple[Case, ...] = (custom_metadata_both_ways, unimplemented_method)

EACH: list[tuple[str, str, Case]] = [
    *(("ours", door, case) for door in ("directly", "gateway") for case in CASES),
    *(("saying", door, case) for door in ("directly", "gateway") for case in SAYING_CASES),
    ("saying", "directly", server_compressed_on_the_wire),
    # Compression is each connection's own affair.
    ("saying", "gateway", server_compressed_no_further),
    *(("bare", door, case) for door in ("directly", "gateway") for case in BARE_CASES),
]


@pytest.fixture(scope="module")
def ends(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[str, str, Case], BaseException | None]:
    """How each case ended; all run on the same workers at once, or it would take a minute."""
    folder = tmp_path_factory.mktemp("interop")
    stubs = {"PYTHONPATH": str(compiled(folder / "stubs"))}
    units = {
        "ours": command(OURS, env={"PYTHONPATH": str(ROOT)}),
        "saying": command(SAYING, env={"PYTHONPATH": str(ROOT)}),
        "bare": command(BARE, env=stubs),
    }
    toml = "".join(
        f'[units.{name}]\ncommand = {unit.argv}\nimplements = ["hsu.test.v1.Kinds"]\n'
        f'env = {{PYTHONPATH = "{unit.env["PYTHONPATH"]}"}}\n'
        for name, unit in units.items()
    )
    config = Config.from_text(f'{toml}[routes]\n"hsu.test.v1.Kinds" = "ours"\n', folder=folder)

    async def run() -> list[BaseException | None]:
        async with AsyncExitStack() as stack:
            keeper = await stack.enter_async_context(Keeper())
            sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hsu-t-")))
            doors: dict[tuple[str, str], Door] = {}
            for name, unit in units.items():
                at = sockets / name
                at.mkdir()
                lab = Lab(unit=unit, help=Help(), keeper=keeper, folder=at, patience=2)
                worker = await stack.enter_async_context(lab.launch(run=True))
                connection = worker.connection
                doors[name, "directly"] = Door(
                    connection.channel, connection.metadata, worker.address
                )
            master = await stack.enter_async_context(Master(config))
            assert master.address is not None
            assert master.token_file is not None
            token = master.token_file.read_text()
            gateway = Connection.open(master.address, token=token)
            stack.push_async_callback(gateway.close)
            for name in units:
                sent = (*gateway.metadata, ("hsu-unit", name))
                doors[name, "gateway"] = Door(gateway.channel, sent, master.address)
                # Some cases are too short for a start.
                await doors[name, "gateway"].unary(Ask(text="x"))
            cases = (case(doors[name, door]) for name, door, case in EACH)
            return await asyncio.gather(*cases, return_exceptions=True)

    return dict(zip(EACH, asyncio.run(run()), strict=True))


@pytest.mark.parametrize("each", EACH, ids=lambda each: f"{each[0]}-{each[1]}-{each[2].__name__}")
def test_the_case_passes(
    each: tuple[str, str, Case], ends: dict[tuple[str, str, Case], BaseException | None]
) -> None:
    failure = ends[each]
    if failure is not None:
        raise failure
