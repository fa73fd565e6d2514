from collections.abc import AsyncIterator

from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk


# error[pyright]: expected 1 but received 0
@implements(InterfaceA)
# error[mypy]: cannot be "Summarizer"
class Summarizer:
    async def summarize(self, *, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()
