from collections.abc import AsyncIterator

from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk


# error[pyright]: Type "property" is not assignable
@implements(InterfaceA)
# error[mypy]: cannot be "Summarizer"
class Summarizer:
    @property
    def summarize(self) -> SummarizeResponse:
        return SummarizeResponse()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()
