from collections.abc import Iterator

from hsu_worker import Requests, implements
from hsu_worker.gen.hsu_b import (
    GetStatsRequest,
    GetStatsResponse,
    IngestResponse,
    InterfaceB,
    SearchRequest,
    SearchResponse,
)


# error[pyright]: Parameter 1: type "Requests[IngestRequest]" is incompatible with type "Requests[SearchRequest]"
@implements(InterfaceB)
# error[mypy]: cannot be "Index"
class Index:
    async def ingest(self, requests: Requests[SearchRequest]) -> IngestResponse:
        return IngestResponse()

    def search(self, request: SearchRequest) -> Iterator[SearchResponse]:
        yield SearchResponse()

    def get_stats(self, request: GetStatsRequest) -> GetStatsResponse:
        return GetStatsResponse()
