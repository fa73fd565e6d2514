import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hsu_worker import App, Limits, PermissionDenied
from hsu_worker.gen.hsu_core import (
    STATE_RUNNING,
    STATE_STOPPED,
    Core,
    CoreClient,
    GetStatusRequest,
    HandshakeRequest,
    InterfaceInfo,
    MethodInfo,
    PingRequest,
    ShutdownRequest,
    StartRequest,
    StopRequest,
    StreamLogsRequest,
)
from hsu_worker.serving.logring import LogRing
from hsu_worker.testing import running
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from hsu_worker.worker.answering import Answering, answering
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.serving.kinds import AsyncKinds

INSTANCE = "1" * 32


@asynccontextmanager
async def stopped(
    address: Address, *, token: str = "", app: App | None = None
) -> AsyncGenerator[tuple[Answering, CoreClient], None]:
    async with answering(
        app or App(AsyncKinds()), address, instance=INSTANCE, token=token, ring=LogRing()
    ) as worker:
        connection = Connection.open(worker.address, token=token)
        yield worker, Core.client(connection)
        await connection.close()


async def test_the_handshake_says_who_and_what(tmp_path: Path) -> None:
    app = App(AsyncKinds(), name="kinds", version="1.2", limits=Limits(threads=3))
    async with stopped(Address(path=str(tmp_path / "s")), app=app) as (_, core):
        answer = await core.handshake(HandshakeRequest(contract_version=1))

    ask, answered = "hsu.test.v1.Ask", "hsu.test.v1.Answer"
    assert (answer.contract_version, answer.instance, answer.pid) == (1, INSTANCE, os.getpid())
    assert (answer.name, answer.version, answer.language) == ("kinds", "1.2", "python")
    assert answer.limits.threads == 3
    assert list(answer.interfaces) == [
        InterfaceInfo(
            name="hsu.test.v1.Kinds",
            fingerprint=Kinds.fingerprint,
            methods=[
                MethodInfo(name="Unary", input=ask, output=answered),
                MethodInfo(name="ClientStream", client_streaming=True, input=ask, output=answered),
                MethodInfo(name="ServerStream", server_streaming=True, input=ask, output=answered),
                MethodInfo(
                    name="Bidi",
                    client_streaming=True,
                    server_streaming=True,
                    input=ask,
                    output=answered,
                ),
            ],
        )
    ]


async def test_cores_own_calls_are_never_in_flight() -> None:
    async with running(AsyncKinds()) as worker:
        core = worker.client(Core)
        logs = core.stream_logs(StreamLogsRequest(follow=True))
        await anext(logs)
        pinged = await core.ping(PingRequest())
        status = await core.get_status(GetStatusRequest())
        await logs.aclose()

    assert (pinged.calls_in_flight, status.calls_in_flight, status.calls_total) == (0, 0, 0)


async def test_status_tells_calls_and_idle_time() -> None:
    async with running(AsyncKinds()) as worker:
        core = worker.client(Core)
        await asyncio.sleep(0.05)
        before = await core.get_status(GetStatusRequest())
        await worker.client(Kinds).unary(Ask())
        after = await core.get_status(GetStatusRequest())

    assert before.idle.ToTimedelta() >= after.idle.ToTimedelta()
    assert (before.calls_total, after.calls_total) == (0, 1)
    assert after.state == STATE_RUNNING
    assert after.uptime.ToTimedelta() > before.uptime.ToTimedelta()
    assert after.resident_bytes > 1 << 20
    assert (after.log.oldest, after.log.instance) == (1, before.log.instance)


async def test_without_a_token_on_tcp_nobody_may_start_stop_or_read_logs() -> None:
    async with stopped(Address.parse("tcp:127.0.0.1:0")) as (_, core):
        messages = []
        for refused in (
            anext(core.start(StartRequest())),
            core.stop(StopRequest()),
            core.shutdown(ShutdownRequest()),
            anext(core.stream_logs(StreamLogsRequest())),
        ):
            with pytest.raises(PermissionDenied) as raised:
                await refused
            messages.append(raised.value.message)
        allowed = await core.ping(PingRequest())
        await core.handshake(HandshakeRequest())
        await core.get_status(GetStatusRequest())

    assert messages == [
        f"{method} is refused: this worker asks for no token and listens on TCP; "
        "serve it with --token-file"
        for method in ("Start", "Stop", "Shutdown", "StreamLogs")
    ]
    assert allowed.state == STATE_STOPPED


async def test_without_a_token_on_a_unix_socket_its_owner_may_do_everything(
    tmp_path: Path,
) -> None:
    async with stopped(Address(path=str(tmp_path / "s"))) as (_, core):
        steps = [step.state async for step in core.start(StartRequest())]

    assert steps[-1] == STATE_RUNNING


async def test_with_a_token_on_tcp_its_holder_may_do_everything() -> None:
    async with stopped(Address.parse("tcp:127.0.0.1:0"), token="secret") as (_, core):
        steps = [step.state async for step in core.start(StartRequest())]

    assert steps[-1] == STATE_RUNNING


async def test_shutdown_answers_with_the_grace_it_keeps_once_it_drains(tmp_path: Path) -> None:
    async with stopped(Address(path=str(tmp_path / "s"))) as (worker, core):
        request = ShutdownRequest()
        request.grace.FromSeconds(5)
        asking = asyncio.create_task(core.shutdown(request))
        await worker.departure.asked()
        # Not before new calls are refused.
        done, _ = await asyncio.wait((asking,), timeout=0.05)
        assert not done
        worker.departure.began.set()
        first = await asking
        longer = await core.shutdown(ShutdownRequest())

    assert first.grace.ToTimedelta().total_seconds() == 5
    # Who asks later can only shorten it.
    assert longer.grace.ToTimedelta().total_seconds() <= 5
