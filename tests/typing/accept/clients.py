from collections.abc import AsyncIterator
from typing import Any, TypeVar, assert_type

import grpc.aio

from hsu_worker import Interface
from hsu_worker.gen.hsu_a import (
    BlockingInterfaceAClient,
    InterfaceA,
    InterfaceAClient,
    SummarizeRequest,
    SummarizeResponse,
    SummaryChunk,
)
from hsu_worker.gen.hsu_b import IngestRequest, IngestResponse, InterfaceB, InterfaceBClient

ClientT = TypeVar("ClientT")


def client(interface: Interface[Any, ClientT, Any]) -> ClientT:
    raise NotImplementedError(interface)


def blocking_client(interface: Interface[Any, Any, ClientT]) -> ClientT:
    raise NotImplementedError(interface)


async def some_requests() -> AsyncIterator[IngestRequest]:
    yield IngestRequest()


async def call_both(channel: grpc.aio.Channel) -> None:
    assert_type(client(InterfaceA), InterfaceAClient)
    assert_type(InterfaceA.client(channel), InterfaceAClient)
    direct = InterfaceAClient(channel)
    assert_type(await direct.summarize(SummarizeRequest(), timeout=5), SummarizeResponse)
    async for chunk in direct.stream_summary(SummarizeRequest(), metadata=[("k", "v")]):
        assert_type(chunk, SummaryChunk)

    assert_type(client(InterfaceB), InterfaceBClient)
    index = InterfaceBClient(channel)
    assert_type(await index.ingest([IngestRequest()]), IngestResponse)
    assert_type(await index.ingest(IngestRequest() for _ in range(3)), IngestResponse)
    assert_type(await index.ingest(some_requests()), IngestResponse)


def call_blocking() -> None:
    summarizer = blocking_client(InterfaceA)
    assert_type(summarizer, BlockingInterfaceAClient)
    assert_type(summarizer.summarize(SummarizeRequest(), timeout=5), SummarizeResponse)
    for chunk in summarizer.stream_summary(SummarizeRequest()):
        assert_type(chunk, SummaryChunk)
