from collections.abc import AsyncIterator

from hsu_worker import implements
from hsu_worker.gen.hsu_a import (
    InterfaceA,
    InterfaceAClient,
    SummarizeRequest,
    SummarizeResponse,
    SummaryChunk,
)


@implements(InterfaceA)
class Forgetful:
    async def answer(self) -> SummarizeResponse:
        return SummarizeResponse()

    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        # error[mypy]: Incompatible return value type (got "Coroutine
        # error[pyright]: Type "CoroutineType[Any, Any, SummarizeResponse]" is not assignable
        return self.answer()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()


@implements(InterfaceA)
class Silent:
    # error[mypy]: Missing return statement
    # error[pyright]: must return value on all code paths
    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        SummarizeResponse()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()


async def calls(summarizer: InterfaceAClient) -> None:
    # error[mypy]: has no attribute "summary"
    # error[pyright]: Cannot access attribute "summary"
    print(summarizer.summarize(SummarizeRequest()).summary)
    # error[mypy]: has no attribute "__iter__"
    # error[pyright]: is not iterable
    for _ in summarizer.stream_summary(SummarizeRequest()):
        pass
