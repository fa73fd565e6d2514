"""What gRPC's interop tests call, on the interface Kinds: sizes are asked for, and come back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio

from hsu_worker import App, Requests, RpcError, Unknown, current_call, implements
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


class Said(grpc.aio.ServerInterceptor):
    """Says with an answer what its caller asks for: metadata, and how it is compressed.

    Handlers can't: grpc's context is the interceptors'.
    """

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        handler = await continuation(details)

        async def one(request: Any, context: Any) -> Any:
            await _say(context)
            return await handler.unary_unary(request, context)

        async def several(requests: Any, context: Any) -> AsyncIterator[Any]:
            await _say(context)
            async with aclosing(handler.stream_stream(requests, context)) as answers:
                async for answer in answers:
                    yield answer

        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(one)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(several)
        return handler


async def _say(context: Any) -> None:
    asked = dict(context.invocation_metadata())
    first, last = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
    if "x-compress" in asked:
        context.set_compression(grpc.Compression[asked["x-compress"]])
        # grpc.aio tells the transport with metadata that is sent by itself, else in streams only.
        await context.send_initial_metadata(())
    if first in asked:
        await context.send_initial_metadata(((first, asked[first]),))
    if last in asked:
        context.set_trailing_metadata(((last, asked[last]),))


saying = App(Interop(), name="interop", interceptors=[Said()])
