from collections.abc import AsyncIterator

from hsu_worker import implements
from hsu_worker.gen.hsu_a import SummarizeRequest, SummarizeResponse, SummaryChunk


# error[mypy]: has incompatible type "type[Summarizer]"; expected "Interface
# error[pyright]: Type "type[Summarizer]" is not assignable to type "Interface
@implements
class Summarizer:
    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()
