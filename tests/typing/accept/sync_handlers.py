from collections.abc import Generator, Iterator

from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk


@implements(InterfaceA)
class WithIterator:
    def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse(summary=request.text)

    def stream_summary(self, request: SummarizeRequest) -> Iterator[SummaryChunk]:
        yield SummaryChunk(text=request.text)


@implements(InterfaceA)
class WithGenerator:
    @staticmethod
    def summarize(request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse()

    @classmethod
    def stream_summary(cls, request: SummarizeRequest) -> Generator[SummaryChunk, None, None]:
        yield SummaryChunk()
