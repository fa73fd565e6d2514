from collections.abc import Iterator

from hsu_worker import Requests, implements
from hsu_worker.gen.hsu_b import (
    GetStatsRequest,
    GetStatsResponse,
    IngestRequest,
    IngestResponse,
    InterfaceB,
    SearchRequest,
    SearchResponse,
)


# error[pyright]: Parameter 1: type "SearchRequest" is incompatible with type "Requests[SearchRequest]"
@implements(InterfaceB)
# error[mypy]: cannot be "Index"
class Index:
    async def ingest(self, requests: Requests[IngestRequest]) -> IngestResponse:
        return IngestResponse()

    def search(self, requests: Requests[SearchRequest]) -> Iterator[SearchResponse]:
        yield SearchResponse()

    def get_stats(self, request: GetStatsRequest) -> GetStatsResponse:
        return GetStatsResponse()
