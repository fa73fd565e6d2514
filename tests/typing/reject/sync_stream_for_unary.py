from collections.abc import AsyncIterator, Iterator

from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk


# error[pyright]: "summarize" is an incompatible type
@implements(InterfaceA)
# error[mypy]: cannot be "Summarizer"
class Summarizer:
    def summarize(self, request: SummarizeRequest) -> Iterator[SummarizeResponse]:
        yield SummarizeResponse()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()
