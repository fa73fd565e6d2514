"""The worker written from docs/launch-contract.md alone, driven as the page says a master does."""

import ast
import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc.aio import insecure_channel
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from hsu_worker.errors import Dispatch, Unauthenticated, Unavailable
from hsu_worker.gen.hsu_a import InterfaceA, InterfaceAClient, SummarizeRequest
from hsu_worker.gen.hsu_core import (
    STATE_RUNNING,
    STATE_STOPPED,
    STATE_STOPPING,
    CoreClient,
    GetStatusRequest,
    HandshakeRequest,
    PingRequest,
    ShutdownRequest,
    StartRequest,
    StopRequest,
    StreamLogsRequest,
)
from hsu_worker.master import Master
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import Announcement
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.launch import LaunchVariables

ROOT = Path(__file__).parent.parent
BARE_WORKER = ROOT / "tests" / "bare_worker.py"

#: Longest wait for something that takes a fraction of a second.
PATIENCE = 20


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """protoc's own modules of the two contracts, as a worker without this package would have."""
    folder = tmp_path_factory.mktemp("stubs")
    outputs = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}"]
    subprocess.run([*protoc, *outputs, "hsu_core.proto", "hsu_a.proto"], check=True)
    return folder


@dataclass(frozen=True)
class Launched:
    process: asyncio.subprocess.Process
    variables: LaunchVariables
    connection: Connection

    @property
    def core(self) -> CoreClient:
        return CoreClient(self.connection)

    @property
    def a(self) -> InterfaceAClient:
        return InterfaceAClient(self.connection)

    async def health(self, name: str) -> str:
        answer = await self.connection.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )(HealthCheckRequest(service=name))
        return str(HealthCheckResponse.ServingStatus.Name(answer.status))

    async def start(self) -> None:
        states = [step.state async for step in self.core.start(StartRequest())]
        assert states[-1] == STATE_RUNNING

    async def exit_code(self) -> int:
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


Launch: TypeAlias = Callable[..., AbstractAsyncContextManager[Launched]]


@pytest.fixture
def launch(stubs: Path, tmp_path: Path) -> Launch:
    """Launches the worker as a master does, by hand."""

    @asynccontextmanager
    async def launch(
        listen: str = "", *, descriptor: bool = True
    ) -> AsyncGenerator[Launched, None]:
        reading, writing = os.pipe()
        variables = LaunchVariables(
            instance=secrets.token_hex(16),
            unit="bare",
            listen=listen or f"unix:{tmp_path}/bare worker.sock",
            announce_fd=str(writing) if descriptor else "",
            token=secrets.token_urlsafe(),
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, BARE_WORKER),
            env={"PYTHONPATH": str(stubs), **variables.environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[writing] if descriptor else [],
            start_new_session=True,
        )
        os.close(writing)
        assert process.stdout is not None
        try:
            if descriptor:
                # To the end of file: the worker has to close the descriptor.
                with os.fdopen(reading, "rb") as announced:
                    line = await asyncio.wait_for(asyncio.to_thread(announced.read), PATIENCE)
            else:
                os.close(reading)
                line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
            announcement = Announcement.parse(
                line, instance=variables.instance, asked=variables.address
            )
            connection = Connection.open(announcement.address, token=variables.token)
            yield Launched(process, variables, connection)
            await connection.close()
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    return launch


def test_it_imports_nothing_of_ours() -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(BARE_WORKER.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert [] == [name for name in imported if name.startswith("hsu_worker")]
    assert {"grpc.aio", "hsu_core_pb2", "hsu_a_pb2"} <= imported


async def test_it_says_who_it_is_and_what_it_offers(launch: Launch) -> None:
    async with launch() as worker:
        told = await worker.core.handshake(HandshakeRequest(contract_version=1, unit="bare"))
        assert (1, worker.variables.instance) == (told.contract_version, told.instance)
        assert (worker.process.pid, STATE_STOPPED) == (told.pid, told.state)
        [offered] = told.interfaces
        assert InterfaceA.name == offered.name
        assert [
            (m.name, m.client_streaming, m.server_streaming, m.request.DESCRIPTOR.full_name)
            for m in InterfaceA.methods.values()
        ] == [(m.name, m.client_streaming, m.server_streaming, m.input) for m in offered.methods]


async def test_on_tcp_it_reports_the_true_port_on_stdout(launch: Launch) -> None:
    async with launch("tcp:127.0.0.1:0", descriptor=False) as worker:
        assert worker.variables.address == Address(host="127.0.0.1", port=0)
        ping = await worker.core.ping(PingRequest(payload=b"hello"))
        assert (b"hello", worker.variables.instance) == (ping.payload, ping.instance)


async def test_it_answers_calls_between_start_and_stop_only(launch: Launch) -> None:
    request = SummarizeRequest(text="One. Two. Three.", sentences=2)
    async with launch() as worker:
        with pytest.raises(Unavailable) as before:
            await worker.a.summarize(request)
        await worker.start()
        assert "One. Two." == (await worker.a.summarize(request)).summary
        assert ["One.", "Two."] == [chunk.text async for chunk in worker.a.stream_summary(request)]
        status = await worker.core.get_status(GetStatusRequest())
        assert (STATE_RUNNING, 0) == (status.state, status.calls_in_flight)
        assert STATE_STOPPED == (await worker.core.stop(StopRequest())).state
        with pytest.raises(Unavailable) as after:
            await worker.a.summarize(request)
        assert [Dispatch.NO] * 2 == [before.value.dispatched, after.value.dispatched]


async def test_a_start_while_it_stops_waits_for_the_calls_and_for_the_stop(launch: Launch) -> None:
    request = SummarizeRequest(text=f"{'x' * 10_000}. " * 300, sentences=300)
    # A connection that takes 64 KiB, whatever it measures: the call runs until somebody reads.
    options = (("grpc.http2.bdp_probe", 0),)
    async with launch() as worker, insecure_channel(worker.connection.target, options) as narrow:
        await worker.start()
        chunks = InterfaceAClient(Connection(narrow, worker.connection.metadata)).stream_summary(
            request
        )
        await anext(chunks)
        stops = [asyncio.ensure_future(worker.core.stop(StopRequest())) for _ in range(2)]
        while (status := await worker.core.get_status(GetStatusRequest())).state == STATE_RUNNING:
            pass
        assert (STATE_STOPPING, 1) == (status.state, status.calls_in_flight)
        starting = asyncio.ensure_future(worker.start())
        with pytest.raises(Unavailable):
            await worker.a.summarize(SummarizeRequest(text="x"))
        assert [False] * 3 == [each.done() for each in (*stops, starting)]
        assert 299 == len([chunk async for chunk in chunks])
        await starting
        assert [STATE_STOPPED] * 2 == [(await stop).state for stop in stops]
        assert "x" == (await worker.a.summarize(SummarizeRequest(text="x"))).summary[0]


async def test_a_call_without_the_token_is_refused(launch: Launch) -> None:
    async with launch() as worker:
        stranger = Connection(worker.connection.channel)
        for call in (
            CoreClient(stranger).ping(PingRequest()),
            InterfaceAClient(stranger).summarize(SummarizeRequest(text="One.")),
        ):
            with pytest.raises(Unauthenticated) as refused:
                await call
            assert Dispatch.NO == refused.value.dispatched


async def test_health_follows_the_state_and_live_is_always_serving(launch: Launch) -> None:
    names = ("", InterfaceA.name, "live")
    async with launch() as worker:
        assert ["NOT_SERVING", "NOT_SERVING", "SERVING"] == [await worker.health(n) for n in names]
        await worker.start()
        assert ["SERVING"] * 3 == [await worker.health(name) for name in names]
        await worker.core.stop(StopRequest())
        assert ["NOT_SERVING", "NOT_SERVING", "SERVING"] == [await worker.health(n) for n in names]


async def test_shutdown_ends_its_log_stream_and_the_process(launch: Launch) -> None:
    async with launch() as worker:
        logs = worker.core.stream_logs(StreamLogsRequest(follow=True))
        first = await anext(logs)
        assert (worker.variables.instance, 1, 1) == (
            first.window.instance,
            first.window.oldest,
            first.window.next,
        )
        answer = await worker.core.shutdown(ShutdownRequest(grace=Duration(seconds=7)))
        assert 7 == answer.grace.seconds
        assert [] == [message async for message in logs]
        assert 0 == await worker.exit_code()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_code_0(launch: Launch, number: signal.Signals) -> None:
    async with launch() as worker:
        await worker.start()
        worker.process.send_signal(number)
        assert 0 == await worker.exit_code()


async def test_the_end_of_its_lifeline_ends_it(launch: Launch) -> None:
    async with launch() as worker:
        assert worker.process.stdin is not None
        worker.process.stdin.close()
        assert 0 == await worker.exit_code()


async def test_our_master_starts_calls_and_stops_it(stubs: Path, tmp_path: Path) -> None:
    (tmp_path / "hsu.toml").write_text(
        f"""
        [units.bare]
        command = ["{sys.executable}", "{BARE_WORKER}"]
        implements = ["{InterfaceA.name}"]
        env = {{ PYTHONPATH = "{stubs}" }}
        """
    )
    async with Master.from_file(tmp_path / "hsu.toml") as master:
        summarizer = master.client(InterfaceA)
        request = SummarizeRequest(text="One. Two. Three.", sentences=2)
        assert "One. Two." == (await summarizer.summarize(request, timeout=PATIENCE)).summary
        chunks = summarizer.stream_summary(request, timeout=PATIENCE)
        assert ["One.", "Two."] == [chunk.text async for chunk in chunks]
