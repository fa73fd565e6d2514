import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from hsu_worker import App, Limits, ResourceExhausted, implements
from hsu_worker.testing import running
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds
from tests.serving.kinds import AsyncKinds


@implements(Kinds)
class Sized(AsyncKinds):
    async def unary(self, request: Ask) -> Answer:
        return Answer(payload=bytes(request.number))


async def test_messages_of_the_limit_pass_both_ways() -> None:
    async with running(App(Sized(), limits=Limits(message_bytes=100_000))) as worker:
        client = worker.client(Kinds)
        answer = await client.unary(Ask(number=99_990))
        await client.unary(Ask(payload=bytes(99_990)))

    assert len(answer.payload) == 99_990


async def test_a_response_over_the_limit_says_what_to_do() -> None:
    async with running(App(Sized(), limits=Limits(message_bytes=100_000))) as worker:
        with pytest.raises(ResourceExhausted) as raised:
            await worker.client(Kinds).unary(Ask(number=200_000))

    assert raised.value.message == (
        "the response of /hsu.test.v1.Kinds/Unary has 200004 bytes, 100000 are possible: "
        "send less, or raise App(limits=Limits(message_bytes=...))"
    )
    (detail,) = raised.value.details
    assert isinstance(detail, ErrorInfo)
    assert (detail.reason, detail.domain) == ("RESPONSE_TOO_LARGE", "hsu")


async def test_a_request_over_the_limit_never_reaches_the_handler() -> None:
    async with running(App(Sized(), limits=Limits(message_bytes=100_000))) as worker:
        with pytest.raises(ResourceExhausted, match=r"larger than max \(200004 vs\. 100000\)"):
            await worker.client(Kinds).unary(Ask(payload=bytes(200_000)))


async def test_a_request_over_the_limit_in_a_stream_ends_the_call() -> None:
    async with running(App(AsyncKinds(), limits=Limits(message_bytes=100_000))) as worker:
        client = worker.client(Kinds)
        with pytest.raises(ResourceExhausted):
            await client.client_stream([Ask(text="a"), Ask(payload=bytes(200_000))])


async def test_metadata_over_the_limit_is_refused() -> None:
    async with running(App(AsyncKinds(), limits=Limits(metadata_bytes=4096))) as worker:
        client = worker.client(Kinds)
        await client.unary(Ask(), metadata=[("x", "y" * 3000)])
        with pytest.raises(ResourceExhausted):
            await client.unary(Ask(), metadata=[("x", "y" * 5000)])


async def test_the_next_call_is_answered_after_one_over_the_limit() -> None:
    async with running(App(Sized(), limits=Limits(message_bytes=100_000))) as worker:
        client = worker.client(Kinds)
        for size in (200_000, 1):
            try:
                answer = await client.unary(Ask(number=size))
            except ResourceExhausted:
                continue
    assert len(answer.payload) == 1
