from collections.abc import AsyncIterator

from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummaryChunk


# error[pyright]: "summarize" is an incompatible type
@implements(InterfaceA)
# error[mypy]: cannot be "Summarizer"
class Summarizer:
    async def summarize(self, request: SummarizeRequest) -> SummaryChunk:
        return SummaryChunk()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()
