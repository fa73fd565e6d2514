"""What gRPC's interop tests call, on the interface Kinds: sizes are asked for, and come back."""

import asyncio
from collections.abc import AsyncIterator

from hsu_worker import Requests, RpcError, Unknown, current_call, implements
from hsu_worker.errors import RPC_ERRORS, Code
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds


@implements(Kinds)
class Interop:
    def __init__(self) -> None:
        self.left: set[str] = set()
        """The names of calls whose callers have left."""

    async def unary(self, request: Ask) -> Answer:
        """A payload of so many bytes; or what the text asks for."""
        match request.text.split(" ", 1):
            case ["status", message]:
                raise _error(request.number, message)
            case ["metadata", name]:
                value = current_call().metadata[name]
                return Answer(payload=value if isinstance(value, bytes) else value.encode())
            case ["left", name]:
                return Answer(number=int(name in self.left))
        return Answer(payload=bytes(request.number), number=len(request.payload))

    async def client_stream(self, requests: Requests[Ask]) -> Answer:
        """The size of all payloads."""
        name, size = "", 0
        try:
            async for request in requests:
                name = request.text or name
                size += len(request.payload)
        except asyncio.CancelledError:
            self.left.add(name)
            raise
        return Answer(number=size)

    async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
        """A payload of each size that the text holds."""
        for size in request.text.split():
            yield Answer(payload=bytes(int(size)))

    async def bidi(self, requests: Requests[Ask]) -> AsyncIterator[Answer]:
        """For each request a payload of so many bytes, after `sleep` never."""
        name = ""
        try:
            async for request in requests:
                if request.text == "sleep":
                    await asyncio.sleep(3600)
                name = request.text or name
                if request.number < 0:
                    raise _error(-request.number, request.text)
                yield Answer(payload=bytes(request.number))
        except (asyncio.CancelledError, GeneratorExit):
            # The latter where the caller leaves while an answer is being sent.
            self.left.add(name)
            raise


def _error(code: int, message: str) -> RpcError:
    return RPC_ERRORS.get(Code(code), Unknown)(message)
