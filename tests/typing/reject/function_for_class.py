from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse


# error[mypy]: has incompatible type "Callable[[SummarizeRequest]
# error[pyright]: is not assignable to type "type[_InterfaceAT@__call__]"
@implements(InterfaceA)
async def summarize(request: SummarizeRequest) -> SummarizeResponse:
    return SummarizeResponse()
