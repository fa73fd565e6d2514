"""The same echoing service twice, with asynchronous and with synchronous handlers."""

from collections.abc import AsyncIterator, Iterator

from hsu_worker import Requests, implements
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds, KindsClient


@implements(Kinds)
class AsyncKinds:
    async def unary(self, request: Ask) -> Answer:
        return Answer(text=request.text)

    async def client_stream(self, requests: Requests[Ask]) -> Answer:
        texts = [request.text async for request in requests]
        return Answer(text=" ".join(texts), number=len(texts))

    async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
        for number in range(request.number):
            yield Answer(text=request.text, number=number)

    async def bidi(self, requests: Requests[Ask]) -> AsyncIterator[Answer]:
        async for request in requests:
            yield Answer(text=request.text)


@implements(Kinds)
class SyncKinds:
    def unary(self, request: Ask) -> Answer:
        return Answer(text=request.text)

    def client_stream(self, requests: Requests[Ask]) -> Answer:
        texts = [request.text for request in requests]
        return Answer(text=" ".join(texts), number=len(texts))

    def server_stream(self, request: Ask) -> Iterator[Answer]:
        for number in range(request.number):
            yield Answer(text=request.text, number=number)

    def bidi(self, requests: Requests[Ask]) -> Iterator[Answer]:
        for request in requests:
            yield Answer(text=request.text)


async def call_each(client: KindsClient, method: str) -> None:
    """Call one method to its end, whatever its kind."""
    match method:
        case "unary":
            await client.unary(Ask())
        case "client_stream":
            await client.client_stream([Ask()])
        case "server_stream":
            [_ async for _ in client.server_stream(Ask())]
        case "bidi":
            [_ async for _ in client.bidi([Ask()])]
        case _:
            raise ValueError(method)
