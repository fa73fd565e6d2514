import asyncio
from collections.abc import AsyncIterator

import pytest

from hsu_worker.testing import running
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.serving.kinds import AsyncKinds, SyncKinds

both = pytest.mark.parametrize("service", [AsyncKinds, SyncKinds])


@both
async def test_a_unary_handler_answers(service: type[AsyncKinds]) -> None:
    async with running(service()) as worker:
        answer = await worker.client(Kinds).unary(Ask(text="a"))

    assert answer.text == "a"


@both
async def test_a_client_stream_is_read_to_its_end(service: type[AsyncKinds]) -> None:
    async with running(service()) as worker:
        answer = await worker.client(Kinds).client_stream([Ask(text="a"), Ask(text="b")])

    assert (answer.text, answer.number) == ("a b", 2)


@both
async def test_an_empty_client_stream_is_answered(service: type[AsyncKinds]) -> None:
    async with running(service()) as worker:
        answer = await worker.client(Kinds).client_stream([])

    assert answer.number == 0


@both
async def test_a_server_stream_arrives_in_order(service: type[AsyncKinds]) -> None:
    async with running(service()) as worker:
        answers = worker.client(Kinds).server_stream(Ask(text="a", number=3))
        numbers = [answer.number async for answer in answers]

    assert numbers == [0, 1, 2]


@both
async def test_a_bidirectional_stream_answers_each_request_before_the_next(
    service: type[AsyncKinds],
) -> None:
    async with running(service()) as worker:
        answered: asyncio.Queue[str] = asyncio.Queue()
        order: list[str] = []

        async def asks() -> AsyncIterator[Ask]:
            for number in range(3):
                order.append(f"ask {number}")
                yield Ask(text=str(number))
                # The next request is not sent before this one is answered.
                order.append(f"answer {await answered.get()}")

        async for answer in worker.client(Kinds).bidi(asks()):
            answered.put_nowait(answer.text)

    assert order == ["ask 0", "answer 0", "ask 1", "answer 1", "ask 2", "answer 2"]
