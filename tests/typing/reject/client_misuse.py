from hsu_worker.gen.hsu_a import InterfaceAClient, SummarizeRequest, SummaryChunk
from hsu_worker.gen.hsu_b import IngestRequest, InterfaceBClient


async def misuse(summarizer: InterfaceAClient, index: InterfaceBClient) -> None:
    # error[mypy]: has incompatible type "SummaryChunk"
    # error[pyright]: "SummaryChunk" is not assignable to "SummarizeRequest"
    await summarizer.summarize(SummaryChunk())
    # error[mypy]: Unexpected keyword argument "request"
    # error[pyright]: Expected 1 more positional argument
    await summarizer.summarize(request=SummarizeRequest())
    # error[mypy]: Argument "timeout" to "summarize"
    # error[pyright]: parameter "timeout"
    await summarizer.summarize(SummarizeRequest(), timeout="5")
    # error[mypy]: maybe "summarize"?
    # error[pyright]: Attribute "summarise" is unknown
    await summarizer.summarise(SummarizeRequest())
    # error[mypy]: Incompatible types in "await"
    # error[pyright]: is not awaitable
    await summarizer.stream_summary(SummarizeRequest())
    # error[mypy]: has incompatible type "IngestRequest"
    # error[pyright]: "IngestRequest" is incompatible with protocol "Iterable[IngestRequest]"
    await index.ingest(IngestRequest())
    # error[mypy]: List item 0 has incompatible type "SummarizeRequest"
    # error[pyright]: "SummarizeRequest" is not assignable to "IngestRequest"
    await index.ingest([SummarizeRequest()])
