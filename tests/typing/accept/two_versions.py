from collections.abc import AsyncIterator
from typing import assert_type, overload

from hsu_worker import Requests, implements
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
        return v1.Answer()

    async def bidi(self, requests: Requests[v1.Ask]) -> AsyncIterator[v1.Answer]:
        yield v1.Answer()


assert_type(Both(), Both)
