"""One class serves two versions of an interface, also where their methods have the same name."""

from collections.abc import AsyncIterator
from typing import overload

from hsu_worker import Requests, implements
from hsu_worker.testing import running
from tests.gen import hsu_test_kinds as v1
from tests.gen import hsu_test_kinds_v2 as v2


@implements(v1.Kinds)
@implements(v2.Kinds)
class Both:
    @overload
    async def unary(self, request: v1.Ask) -> v1.Answer: ...
    @overload
    async def unary(self, request: v2.Ask) -> v2.Answer: ...
    async def unary(self, request: v1.Ask | v2.Ask) -> v1.Answer | v2.Answer:
        if isinstance(request, v1.Ask):
            return v1.Answer(text=request.text)
        return v2.Answer(words=request.words)

    @overload
    def server_stream(self, request: v1.Ask) -> AsyncIterator[v1.Answer]: ...
    @overload
    def server_stream(self, request: v2.Ask) -> AsyncIterator[v2.Answer]: ...
    async def server_stream(self, request: v1.Ask | v2.Ask) -> AsyncIterator[v1.Answer | v2.Answer]:
        if isinstance(request, v1.Ask):
            yield v1.Answer(text=request.text)
        else:
            yield v2.Answer(words=request.words)

    async def client_stream(self, requests: Requests[v1.Ask]) -> v1.Answer:
        return v1.Answer(number=len([request async for request in requests]))

    async def bidi(self, requests: Requests[v1.Ask]) -> AsyncIterator[v1.Answer]:
        async for request in requests:
            yield v1.Answer(text=request.text)


async def test_each_version_gets_its_own_messages() -> None:
    async with running(Both()) as worker:
        old, new = worker.client(v1.Kinds), worker.client(v2.Kinds)
        assert v1.Answer(text="a") == await old.unary(v1.Ask(text="a"))
        assert v2.Answer(words="a") == await new.unary(v2.Ask(words="a"))
        assert [v1.Answer(text="b")] == [each async for each in old.server_stream(v1.Ask(text="b"))]
        assert [v2.Answer(words="b")] == [
            each async for each in new.server_stream(v2.Ask(words="b"))
        ]
        assert 1 == (await old.client_stream([v1.Ask()])).number
