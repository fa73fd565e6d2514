import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hsu_worker.master import Config
from hsu_worker.master.gateway.health import GatewayHealth
from hsu_worker.master.router import Router
from tests.master.gated import worker

TOML = """\
[units.good]
command = ["./u"]
implements = ["x.v1.Good"]
[units.bad]
command = ["./u"]
implements = ["x.v1.Bad"]
"""

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def served() -> AsyncGenerator[tuple[GatewayHealth, set[str], Any], None]:
    """Health, the units that can't serve, and a stub without a token."""
    faulted = {"bad"}
    health = GatewayHealth(Router(Config.from_text(TOML)), lambda unit: unit not in faulted)
    async with worker(health.handler()) as connection:
        yield health, faulted, health_pb2_grpc.HealthStub(connection.channel)


async def check(stub: Any, name: str) -> int:
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    status: int = answer.status
    return status


async def test_an_interface_is_serving_when_a_call_could_be_served() -> None:
    async with served() as (_, _, stub):
        statuses = [await check(stub, name) for name in ("", "live", "x.v1.Good", "x.v1.Bad")]

    assert statuses == [SERVING, SERVING, SERVING, NOT_SERVING]


@pytest.mark.parametrize("name", ["x.v1.Unknown", "hsu.core.v1.Core"])
async def test_an_unknown_interface_is_not_found(name: str) -> None:
    async with served() as (_, _, stub):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await check(stub, name)

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert raised.value.details() == f"{name} is not served here"


async def test_watch_tells_every_change_and_ends_with_the_master() -> None:
    async with served() as (health, faulted, stub):
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="x.v1.Bad"))
        statuses = [(await watch.read()).status]
        faulted.clear()
        health.changed()
        statuses.append((await watch.read()).status)
        # What a watcher was told already is not told again.
        health.changed()
        health.close()
        statuses.append((await watch.read()).status)
        async with asyncio.timeout(10):
            end = await watch.read()

    assert statuses == [NOT_SERVING, SERVING, NOT_SERVING]
    assert end is grpc.aio.EOF


async def test_list_names_every_interface() -> None:
    if not hasattr(health_pb2, "HealthListResponse"):
        return
    async with served() as (_, _, stub):
        answer = await stub.List(health_pb2.HealthListRequest())

    assert {name: item.status for name, item in answer.statuses.items()} == {
        "": SERVING,
        "live": SERVING,
        "x.v1.Good": SERVING,
        "x.v1.Bad": NOT_SERVING,
    }
