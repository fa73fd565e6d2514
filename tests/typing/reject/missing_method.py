from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse


# error[pyright]: "stream_summary" is not present
@implements(InterfaceA)
# error[mypy]: cannot be "Summarizer"
class Summarizer:
    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse()
