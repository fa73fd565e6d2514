from collections.abc import AsyncIterator
from typing import assert_type

from hsu_worker import Requests, implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk
from hsu_worker.gen.hsu_b import (
    GetStatsRequest,
    GetStatsResponse,
    IngestRequest,
    IngestResponse,
    InterfaceB,
    SearchRequest,
    SearchResponse,
)


@implements(InterfaceA)
@implements(InterfaceB)
class Both:
    def __init__(self, path: str) -> None:
        self.path = path

    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()

    async def ingest(self, requests: Requests[IngestRequest]) -> IngestResponse:
        return IngestResponse()

    async def search(self, request: SearchRequest) -> AsyncIterator[SearchResponse]:
        yield SearchResponse()

    async def get_stats(self, request: GetStatsRequest) -> GetStatsResponse:
        return GetStatsResponse()


assert_type(Both("x"), Both)
