"""What a service calls, and what its calls go through."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

import grpc.aio

from hsu_worker import App, blocking_client_of, client_of, implements
from hsu_worker.gen.hsu_a import (
    BlockingInterfaceAClient,
    InterfaceA,
    InterfaceAClient,
    SummarizeRequest,
    SummarizeResponse,
    SummaryChunk,
)
from hsu_worker.master import Master


@implements(InterfaceA)
class Relay:
    next = client_of(InterfaceA, unit="next")
    blocking = blocking_client_of(InterfaceA)

    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        assert_type(self.next, InterfaceAClient)
        return await self.next.summarize(request)

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        async for chunk in self.next.stream_summary(request):
            yield chunk

    def in_a_thread(self, request: SummarizeRequest) -> Iterator[SummaryChunk]:
        assert_type(self.blocking, BlockingInterfaceAClient)
        yield from self.blocking.stream_summary(request)


class Server(grpc.aio.ServerInterceptor):
    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        return await continuation(handler_call_details)


class Client(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(client_call_details, request)


app = App(Relay(), interceptors=[Server()], client_interceptors=[Client()], blocked_loop=None)
master = Master.from_file("hsu.toml", interceptors=[Client()])
