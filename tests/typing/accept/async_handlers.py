from collections.abc import AsyncGenerator, AsyncIterator

from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk


@implements(InterfaceA)
class WithIterator:
    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse(summary=request.text)

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk(text=request.text)


@implements(InterfaceA)
class WithGenerator:
    async def summarize(self, request: SummarizeRequest, /) -> SummarizeResponse:
        return SummarizeResponse()

    async def stream_summary(
        self, any_name: SummarizeRequest, depth: int = 1
    ) -> AsyncGenerator[SummaryChunk, None]:
        yield SummaryChunk()
