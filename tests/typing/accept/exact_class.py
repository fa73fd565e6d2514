from collections.abc import AsyncIterator
from pathlib import Path
from typing import assert_type

from hsu_worker import App, implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk


@implements(InterfaceA)
class Summarizer:
    def __init__(self, path: Path = Path("stopwords.txt"), *, depth: int = 1) -> None:
        self.path = path

    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()

    def own(self) -> int:
        return 1


class Further(Summarizer):
    pass


assert_type(Summarizer(), Summarizer)
assert_type(Summarizer(Path(), depth=2).path, Path)
assert_type(Further().own(), int)
app = App(Summarizer(), Further(), name="summarizer")
assert_type(app.name, str)
