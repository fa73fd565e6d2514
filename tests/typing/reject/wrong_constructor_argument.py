from collections.abc import AsyncIterator
from pathlib import Path

from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk


@implements(InterfaceA)
class Summarizer:
    def __init__(self, path: Path) -> None:
        self.path = path

    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()


# error[mypy]: incompatible type "str"; expected "Path"
# error[pyright]: is not assignable to "Path"
Summarizer("stopwords.txt")
# error[mypy]: Missing positional argument "path"
# error[pyright]: Argument missing for parameter "path"
Summarizer()
