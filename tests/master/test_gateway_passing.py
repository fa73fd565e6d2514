import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from hsu_worker import NotFound
from hsu_worker.errors import Dispatch
from hsu_worker.master.gateway.passed_status import MAX_STATUS, sendable
from hsu_worker.wire.limits import Limits
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds
from tests.master.gated import Scripts, Seen, call, gated, gateway, serving, worker
from tests.serving.kinds import AsyncKinds

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")

EVERY_CODE = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


async def echo(requests: Any, context: Any) -> None:
    async for request in requests:
        await context.write(request)


async def headed(requests: Any, context: Any) -> None:
    metadata = (("x-head", "a"), ("x-head", "b"), ("x-head-bin", b"\x00\xff"))
    await context.send_initial_metadata(metadata)
    async for request in requests:
        await context.write(request)
    context.set_trailing_metadata((("x-tail", "c"), ("x-tail-bin", b"\xfe\x00\x01")))


async def told(requests: Any, context: Any) -> None:
    """Answers with the metadata that came."""
    async for _ in requests:
        pass
    pairs = sorted(
        (name, value if isinstance(value, bytes) else value.encode())
        for name, value in context.invocation_metadata()
        if name != "user-agent"
    )
    await context.write(repr(pairs).encode())


async def nothing(requests: Any, context: Any) -> None:
    pass


def fails(code: grpc.StatusCode) -> Any:
    async def fail(requests: Any, context: Any) -> None:
        async for request in requests:
            if request == b"answer":
                await context.write(b"one")
        await context.abort(
            code,
            "it is broken: ünlücky, 100 %\n",
            (("grpc-status-details-bin", b"\x08\x05\x12\x01x"), ("x-why", "because")),
        )

    return fail


async def both(method: str, *requests: bytes, kind: str, **scripts: Any) -> tuple[Seen, Seen]:
    metadata: dict[str, str | bytes] = {"x-a": "1", "x-b-bin": b"\x00\x01\xff"}
    async with gated(Scripts(**scripts)) as it:
        return (
            await call(it.direct, method, *requests, kind=kind, metadata=metadata),
            await call(it.through, method, *requests, kind=kind, metadata=metadata),
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("script", [echo, headed, told, nothing])
async def test_a_call_looks_the_same_through_the_gateway(kind: str, script: Any) -> None:
    many = [b"a", b"", b"c" * 100_000] if kind.startswith("stream") else [b"a"]
    if kind == "stream_unary" and script in (echo, headed):
        many = many[:1]
    if kind.startswith("stream") and script is nothing:
        many = []  # bare grpc.aio may say INTERNAL when a worker ends before it has sent all
    direct, through = await both("X", *many, kind=kind, X=script)

    assert direct == through


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("request_", [b"answer", b"none"])
async def test_every_status_looks_the_same_through_the_gateway(kind: str, request_: bytes) -> None:
    for code in EVERY_CODE:
        direct, through = await both("X", request_, kind=kind, X=fails(code))

        assert direct.code is code
        # The worker said nothing of its dispatch; where it doesn't follow, the gateway says so.
        added = [pair for pair in through.trailing if pair[0] == "hsu-dispatched"]
        assert added in ([], [("hsu-dispatched", "unknown")])
        assert direct == Seen(
            code=through.code,
            message=through.message,
            initial=through.initial,
            trailing=[pair for pair in through.trailing if pair not in added]
            and tuple(pair for pair in through.trailing if pair not in added),
            answers=through.answers,
        )


async def test_an_error_of_ours_looks_the_same_through_the_gateway() -> None:
    class Failing(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            raise NotFound("no such thing", details=[ErrorInfo(reason="NONE", domain="test")])

    async with gated(serving(Failing())) as it:
        direct = await call(it.direct, "Unary")
        through = await call(it.through, "Unary")
        with pytest.raises(NotFound) as raised:
            await Kinds.client(it.through).unary(Ask())

    assert direct == through
    assert raised.value.details == (ErrorInfo(reason="NONE", domain="test"),)


async def test_all_four_kinds_are_passed_on() -> None:
    async with gated(serving(AsyncKinds())) as it:
        client = Kinds.client(it.through)
        unary = await client.unary(Ask(text="a"))
        gathered = await client.client_stream([Ask(text="a"), Ask(text="b")])
        counted = [answer.number async for answer in client.server_stream(Ask(number=3))]
        echoed = [answer.text async for answer in client.bidi([Ask(text="a"), Ask(text="b")])]

    assert (unary.text, gathered.text, counted, echoed) == ("a", "a b", [0, 1, 2], ["a", "b"])


@pytest.mark.parametrize("kind", KINDS)
async def test_metadata_between_caller_and_gateway_stays_there(kind: str) -> None:
    async with gated(Scripts(Told=told)) as it:
        metadata: dict[str, str | bytes] = {
            "hsu-unit": "u",
            "hsu-wait": "100",
            "grpc-x": "1",
            "x-a": "1",
        }
        through = await call(it.through, "Told", b"", kind=kind, metadata=metadata)

    assert through.answers == [b"[('x-a', b'1')]"]


async def test_six_mebibytes_go_both_ways() -> None:
    body = bytes(range(256)) * (6 << 12)
    async with (
        worker(Scripts(Echo=echo), limits=Limits(message_bytes=8 << 20)) as direct,
        gateway(direct) as (_, _, through),
    ):
        seen = await call(through, "Echo", body)

    assert (seen.code, seen.answers) == (grpc.StatusCode.OK, [body])


async def test_a_message_over_the_workers_limit_is_refused_by_the_worker() -> None:
    async with gated(Scripts(Echo=echo)) as it:
        direct = await call(it.direct, "Echo", bytes(5 << 20))
        through = await call(it.through, "Echo", bytes(5 << 20))

    assert grpc.StatusCode.RESOURCE_EXHAUSTED is through.code
    assert direct.message == through.message


async def test_sixty_four_calls_at_once() -> None:
    async with gated(serving(AsyncKinds())) as it:
        client = Kinds.client(it.through)
        answers = await asyncio.gather(*(client.unary(Ask(text=f"{i}")) for i in range(64)))

    assert [answer.text for answer in answers] == [f"{i}" for i in range(64)]


async def test_the_deadline_reaches_the_worker() -> None:
    left = []

    async def look(requests: Any, context: Any) -> None:
        left.append(context.time_remaining())

    async with gated(Scripts(Look=look)) as it:
        await call(it.through, "Look", timeout=50)
        await call(it.through, "Look", timeout=None)

    assert left[0] == pytest.approx(50, abs=20)
    assert left[1] is None


def status(message: str, *trailers: tuple[str, str | bytes]) -> grpc.aio.AioRpcError:
    code = grpc.StatusCode.NOT_FOUND
    return grpc.aio.AioRpcError(code, None, grpc.aio.Metadata(*trailers), message)


def test_a_status_that_fits_stays_as_it_is() -> None:
    trailers = (("x-large", "l" * 3000), ("hsu-dispatched", "no"), ("x-bin", bytes(1000)))

    assert sendable(status("m" * 3000, *trailers), Dispatch.YES) == (
        grpc.StatusCode.NOT_FOUND,
        "m" * 3000,
        trailers,
    )


def test_a_status_that_no_client_takes_keeps_its_code_and_what_fits() -> None:
    trailers = (("x-large", "l" * 7000), ("x-small", "s"), ("hsu-dispatched", "no"))
    code, message, kept = sendable(status("m" * 6000, *trailers), Dispatch.YES)

    assert code is grpc.StatusCode.NOT_FOUND
    assert message == "m" * 2048 + "..."
    assert kept == (("hsu-dispatched", "no"), ("x-small", "s"))


@pytest.mark.parametrize("char", ["\N{GRINNING FACE}", "%", "\u00e4"])
def test_a_message_is_measured_as_it_is_sent(char: str) -> None:
    # Each byte of it is sent as three.
    size = 3 * len(char.encode())
    room = MAX_STATUS - 256 - 32
    fits, too_long = (char * (room // size + more) for more in (0, 1))

    assert fits == sendable(status(fits), Dispatch.YES)[1]
    assert f"{char * (2048 // size)}..." == sendable(status(too_long), Dispatch.YES)[1]
