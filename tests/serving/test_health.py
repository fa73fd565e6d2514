import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hsu_worker import App
from hsu_worker.serving.logring import LogRing
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from hsu_worker.worker.answering import Answering, answering
from hsu_worker.worker.shutdown import shut_down
from tests.serving.kinds import AsyncKinds

KINDS = "hsu.test.v1.Kinds"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def stopped(tmp_path: Any) -> AsyncGenerator[tuple[Answering, Any], None]:
    """A worker in STOPPED that asks for a token, and a health stub that sends none."""
    async with answering(
        App(AsyncKinds()),
        Address(path=str(tmp_path / "s")),
        instance="1" * 32,
        token="secret",
        ring=LogRing(),
    ) as worker:
        connection = Connection.open(worker.address)
        yield worker, health_pb2_grpc.HealthStub(connection.channel)
        await connection.close()


async def check(stub: Any, name: str) -> int:
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    status: int = answer.status
    return status


async def test_only_live_is_serving_before_the_start(tmp_path: Any) -> None:
    async with stopped(tmp_path) as (_, stub):
        statuses = [await check(stub, name) for name in ("", KINDS, "live")]

    assert statuses == [NOT_SERVING, NOT_SERVING, SERVING]


async def test_every_interface_is_serving_while_running(tmp_path: Any) -> None:
    async with stopped(tmp_path) as (worker, stub):
        await worker.lifecycle.started()
        running = [await check(stub, name) for name in ("", KINDS, "live")]
        await worker.lifecycle.stop()
        after = [await check(stub, name) for name in ("", KINDS, "live")]

    assert running == [SERVING, SERVING, SERVING]
    assert after == [NOT_SERVING, NOT_SERVING, SERVING]


async def test_live_is_serving_while_draining(tmp_path: Any) -> None:
    async with stopped(tmp_path) as (worker, stub):
        await worker.lifecycle.started()
        worker.lifecycle.drain()
        statuses = [await check(stub, name) for name in ("", KINDS, "live")]

    assert statuses == [NOT_SERVING, NOT_SERVING, SERVING]


async def test_an_unknown_name_is_not_found(tmp_path: Any) -> None:
    async with stopped(tmp_path) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await check(stub, "no.such.Service")

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert raised.value.details() == "no.such.Service is not served here"


async def test_list_names_every_interface(tmp_path: Any) -> None:
    async with (
        stopped(tmp_path) as (worker, _),
        grpc.aio.insecure_channel(worker.address.target) as channel,
    ):
        await worker.lifecycle.started()
        list_: Any = channel.unary_unary("/grpc.health.v1.Health/List")
        if not hasattr(health_pb2, "HealthListResponse"):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await list_(b"")
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
            return
        answer = health_pb2.HealthListResponse.FromString(await list_(b""))

    assert {name: item.status for name, item in answer.statuses.items()} == {
        "": SERVING,
        KINDS: SERVING,
        "live": SERVING,
    }


async def test_watch_tells_every_change(tmp_path: Any) -> None:
    async with stopped(tmp_path) as (worker, stub):
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=KINDS))
        statuses = [(await watch.read()).status]
        await worker.lifecycle.started()
        statuses.append((await watch.read()).status)
        await worker.lifecycle.stop()
        statuses.append((await watch.read()).status)

    assert statuses == [NOT_SERVING, SERVING, NOT_SERVING]


async def test_watch_of_an_unknown_name_says_so_and_goes_on(tmp_path: Any) -> None:
    async with stopped(tmp_path) as (worker, stub):
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="no.such.Service"))
        status = (await watch.read()).status
        await worker.lifecycle.started()
        assert not watch.done()

    assert status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def test_shutting_down_ends_every_watch_with_ok(tmp_path: Any) -> None:
    async with stopped(tmp_path) as (worker, stub):
        await worker.lifecycle.started()
        watches = [
            stub.Watch(health_pb2.HealthCheckRequest(service=name)) for name in ("", KINDS, "live")
        ]
        first = [(await watch.read()).status for watch in watches]
        worker.departure.ask(5, "test")
        leaving = asyncio.create_task(shut_down(worker, ends_process=False))
        rest = [[answer.status async for answer in watch] for watch in map(_rest, watches)]
        await leaving
        codes = [await watch.code() for watch in watches]

    assert first == [SERVING, SERVING, SERVING]
    assert rest == [[NOT_SERVING], [NOT_SERVING], []]
    assert codes == [grpc.StatusCode.OK] * 3


async def _rest(watch: Any) -> AsyncGenerator[Any, None]:
    while (answer := await watch.read()) is not grpc.aio.EOF:
        yield answer


@pytest.mark.parametrize("method", ["Check", "Watch", "List"])
async def test_what_is_no_request_is_refused(
    tmp_path: Any, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        stopped(tmp_path) as (worker, _),
        grpc.aio.insecure_channel(worker.address.target) as channel,
    ):
        ask: Any = channel.unary_unary(f"/grpc.health.v1.Health/{method}")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(b"\xff\xff")

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details() == (
        f"the request of /grpc.health.v1.Health/{method} is no grpc.health.v1.HealthCheckRequest"
    )
    assert [] == caplog.records
