from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from hsu_worker import Requests, implements
from hsu_worker.gen.hsu_b import (
    Document,
    GetStatsRequest,
    GetStatsResponse,
    IngestRequest,
    IngestResponse,
    InterfaceB,
    SearchRequest,
    SearchResponse,
)


class Rest:
    def search(self, request: SearchRequest) -> Iterator[SearchResponse]:
        yield SearchResponse()

    def get_stats(self, request: GetStatsRequest) -> GetStatsResponse:
        return GetStatsResponse()


@implements(InterfaceB)
class AsyncRequests(Rest):
    async def ingest(self, requests: Requests[IngestRequest]) -> IngestResponse:
        async for request in requests:
            assert_type(request.document, Document)
        return IngestResponse()


@implements(InterfaceB)
class SyncRequests(Rest):
    def ingest(self, requests: Requests[IngestRequest]) -> IngestResponse:
        for request in requests:
            assert_type(request.document, Document)
        return IngestResponse(added=len(list(requests)))


@implements(InterfaceB)
class AnyAsyncIterator(Rest):
    async def ingest(self, requests: AsyncIterator[IngestRequest]) -> IngestResponse:
        return IngestResponse(added=len([request async for request in requests]))


@implements(InterfaceB)
class AnyIterator(Rest):
    def ingest(self, requests: Iterator[IngestRequest]) -> IngestResponse:
        return IngestResponse(added=len(list(requests)))
