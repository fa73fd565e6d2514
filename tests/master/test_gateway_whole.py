"""The gateway of a true master, as its clients see it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hsu_worker import PermissionDenied, ResourceExhausted, Unavailable
from hsu_worker.errors import Dispatch, StartError
from hsu_worker.gen.hsu_core import Core, HandshakeRequest, PingRequest, StreamLogsRequest
from hsu_worker.master import Master
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.metadata import UNIT
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import Running, app, running, text

NAME = "hsu.test.v1.Kinds"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def connected(it: Running, token: str = "") -> AsyncGenerator[Connection, None]:
    assert it.master.address is not None
    assert it.master.token_file is not None
    token = token or it.master.token_file.read_text()
    connection = Connection.open(it.master.address, token=token)
    yield connection
    await connection.close()


async def test_one_call_starts_a_unit_that_fails_once_and_is_told_why(tmp_path: Path) -> None:
    """Whoever calls through a gateway leaves tries to it: it knows what failed."""
    async with running(tmp_path, text('command = ["/bin/false"]')) as it:
        assert it.master.address is not None
        async with Master.connect(str(it.master.address)) as remote:
            with pytest.raises(StartError) as caught:
                await remote.client(Kinds).unary(Ask(), timeout=20)
    assert "unit 'u' did not start: command '/bin/false' ended" in caught.value.message
    assert Dispatch.NO is caught.value.dispatched
    assert 1 == [event.kind for event in it.told].count("starting")


async def next_status(watch: Any) -> int:
    async with asyncio.timeout(20):
        status: int = (await watch.read()).status
        return status


async def test_a_watch_is_told_of_a_hold_and_of_its_end(tmp_path: Path) -> None:
    """Also of a unit that doesn't run: nothing else happens to it."""
    async with running(tmp_path, text(app(tmp_path))) as it, connected(it) as connection:
        stub = health_pb2_grpc.HealthStub(connection.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=NAME))
        statuses = [await next_status(watch)]
        await it.master.stop("u", hold=True)
        statuses.append(await next_status(watch))
        await it.master.start("u")
        statuses.append(await next_status(watch))
        assert "held" in [event.kind for event in it.master.why("u")]

    assert statuses == [SERVING, NOT_SERVING, SERVING]


@pytest.mark.parametrize("how", ["the next try is due", "stop"])
async def test_a_watch_is_told_that_a_unit_that_failed_can_be_called_again(
    tmp_path: Path, how: str
) -> None:
    """A client that asks health before it calls would never call again without."""
    retry = 'breaker_retry = "500ms"' if how != "stop" else 'breaker_retry = "1h"'
    toml = text('command = ["/bin/false"]', "breaker = 1", retry)
    async with running(tmp_path, toml) as it, connected(it) as connection:
        stub = health_pb2_grpc.HealthStub(connection.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=NAME))
        statuses = [await next_status(watch)]
        with pytest.raises(StartError):
            await it.kinds.unary(Ask(), timeout=20)
        statuses.append(await next_status(watch))
        if how == "stop":
            await it.master.stop("u")
        statuses.append(await next_status(watch))

    assert statuses == [SERVING, NOT_SERVING, SERVING]


async def test_a_worker_may_call_other_units_and_not_look_at_them(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path))) as it:
        await it.master.start("u")
        (token,) = it.master._tokens._issued
        async with connected(it, token) as connection:
            assert "hi" == (await Kinds.client(connection).unary(Ask(text="hi"))).text
            core = Core.client(connection)
            for call in (
                core.ping(PingRequest(), metadata=[(UNIT, "u")]),
                core.handshake(HandshakeRequest(), metadata=[(UNIT, "u")]),
                anext(core.stream_logs(StreamLogsRequest(), metadata=[(UNIT, "u")])),
            ):
                with pytest.raises(PermissionDenied) as caught:
                    await call
        assert caught.value.message == (
            "hsu.core.v1.Core of a unit needs the master's own token; the token of a worker is for "
            "calls of other interfaces"
        )
        async with connected(it) as connection:
            answer = await Core.client(connection).ping(PingRequest(), metadata=[(UNIT, "u")])
        assert answer.instance


async def test_a_message_over_the_gateways_limit_is_refused(tmp_path: Path) -> None:
    toml = text(app(tmp_path)) + '\n[master]\nmessage_bytes = "100KiB"'
    async with running(tmp_path, toml) as it, connected(it) as connection:
        client = Kinds.client(connection)
        size = 90 << 10
        assert "x" == (await client.unary(Ask(text="x", payload=bytes(size)), timeout=20)).text
        with pytest.raises(ResourceExhausted) as caught:
            await client.unary(Ask(payload=bytes(110 << 10)), timeout=20)
    assert "raise" in caught.value.message
    assert "message_bytes" in caught.value.message


METADATA = """from hsu_worker import current_call
async def unary(self, request):
    return Answer(number=len(current_call().metadata["x-long"]))"""


async def test_long_metadata_passes_when_the_unit_takes_it(tmp_path: Path) -> None:
    limited = app(tmp_path, METADATA).replace(":Service", ":made")
    source = (tmp_path / "mysvc.py").read_text()
    (tmp_path / "mysvc.py").write_text(
        f"{source}\nmade = App(Service(), limits=Limits(metadata_bytes=64 << 10))\n"
    )
    async with running(tmp_path, text(limited)) as it, connected(it) as connection:
        long = [("x-long", "a" * (40 << 10))]
        for client in (it.kinds, Kinds.client(connection)):
            assert 40 << 10 == (await client.unary(Ask(), metadata=long, timeout=20)).number


async def test_what_a_living_master_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    waiting = """@lifespan
async def loaded(self):
    await asyncio.sleep(60)
    yield"""
    async with running(tmp_path, text(app(tmp_path, waiting), 'grace = "0s"')) as it:
        assert it.master.address is not None
        async with Master.connect(str(it.master.address)) as remote:
            start = asyncio.create_task(remote.start("u"))
            await it.event("starting")
            await it.master.stop("u", hold=True)
            with pytest.raises(Unavailable) as caught:
                await start
    assert "unit 'u' is held: somebody stopped it; `hsu-worker start u`" == caught.value.message
