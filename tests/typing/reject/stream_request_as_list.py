from collections.abc import Iterator

from hsu_worker import implements
from hsu_worker.gen.hsu_b import (
    GetStatsRequest,
    GetStatsResponse,
    IngestRequest,
    IngestResponse,
    InterfaceB,
    SearchRequest,
    SearchResponse,
)


# error[pyright]: Parameter 1: type "Requests[IngestRequest]" is incompatible with type "list[IngestRequest]"
@implements(InterfaceB)
# error[mypy]: cannot be "Index"
class Index:
    async def ingest(self, requests: list[IngestRequest]) -> IngestResponse:
        return IngestResponse()

    def search(self, request: SearchRequest) -> Iterator[SearchResponse]:
        yield SearchResponse()

    def get_stats(self, request: GetStatsRequest) -> GetStatsResponse:
        return GetStatsResponse()
