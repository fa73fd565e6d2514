from collections.abc import AsyncIterator, Awaitable, Iterator

from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk


async def chunks() -> AsyncIterator[SummaryChunk]:
    yield SummaryChunk()


async def whole() -> SummarizeResponse:
    return SummarizeResponse()


@implements(InterfaceA)
class ReturnsAsync:
    def summarize(self, request: SummarizeRequest) -> Awaitable[SummarizeResponse]:
        return whole()

    def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        return chunks()


@implements(InterfaceA)
class ReturnsSync:
    def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse()

    def stream_summary(self, request: SummarizeRequest) -> Iterator[SummaryChunk]:
        return iter([SummaryChunk()])
