from hsu_worker.gen.hsu_a import BlockingInterfaceAClient, SummarizeRequest, SummaryChunk


async def misuse(summarizer: BlockingInterfaceAClient) -> None:
    # error[mypy]: has incompatible type "SummaryChunk"
    # error[pyright]: "SummaryChunk" is not assignable to "SummarizeRequest"
    summarizer.summarize(SummaryChunk())
    # error[mypy]: Incompatible types in "await"
    # error[pyright]: is not awaitable
    await summarizer.summarize(SummarizeRequest())
    # error[mypy]: not async iterable
    # error[pyright]: "__aiter__" method not defined
    async for _ in summarizer.stream_summary(SummarizeRequest()):
        pass
