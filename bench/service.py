"""What is called: the same echo as a unit of a master, and as a bare grpcio server."""

import asyncio
import sys

import grpc.aio

from hsu_worker import Requests, implements
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds


@implements(Kinds)
class Echo:
    async def unary(self, request: Ask) -> Answer:
        return Answer(text=request.text)

    async def client_stream(self, requests: Requests[Ask]) -> Answer:
        return Answer(number=len([request async for request in requests]))

    async def server_stream(self, request: Ask):  # type: ignore[no-untyped-def]
        for number in range(request.number):
            yield Answer(number=number)

    async def bidi(self, requests: Requests[Ask]):  # type: ignore[no-untyped-def]
        async for request in requests:
            yield Answer(text=request.text)


@implements(Kinds)
class Twin(Echo):
    """The other implementation, for swaps."""


async def bare(path: str) -> None:
    """Serve the unary method by hand, until stdin ends."""

    async def unary(request: Ask, _context: object) -> Answer:
        return Answer(text=request.text)

    handler = grpc.unary_unary_rpc_method_handler(
        unary, request_deserializer=Ask.FromString, response_serializer=Answer.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(Kinds.name, {"Unary": handler}),)
    )
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(bare(sys.argv[1]))
