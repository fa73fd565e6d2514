"""What is called as a unit of a master: the same echo as the control's."""

from time import thread_time

from hsu_worker import Requests, implements
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds


@implements(Kinds)
class Echo:
    async def unary(self, request: Ask) -> Answer:
        return Answer(text=request.text, payload=request.payload)

    async def client_stream(self, requests: Requests[Ask]) -> Answer:
        return Answer(number=len([request async for request in requests]))

    async def server_stream(self, request: Ask):  # type: ignore[no-untyped-def]
        for number in range(request.number):
            yield Answer(number=number, payload=request.payload)

    async def bidi(self, requests: Requests[Ask]):  # type: ignore[no-untyped-def]
        async for request in requests:
            yield Answer(text=request.text)


@implements(Kinds)
class Busy(Echo):
    async def unary(self, request: Ask) -> Answer:
        """Compute for so many milliseconds."""
        until = thread_time() + request.number / 1e3
        while thread_time() < until:
            sum(range(100))
        return Answer()
