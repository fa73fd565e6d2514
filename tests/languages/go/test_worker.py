"""The Go HSU by itself, as docs/launch-contract.md says that a master drives it."""

import asyncio
import os
import signal
import subprocess
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from hsu_worker.errors import Dispatch, InvalidArgument, Unauthenticated, Unavailable
from hsu_worker.gen.hsu_a import InterfaceA, InterfaceAClient, SummarizeRequest, SummarizeResponse
from hsu_worker.gen.hsu_core import (
    STATE_RUNNING,
    STATE_STOPPED,
    CoreClient,
    GetStatusRequest,
    HandshakeRequest,
    PingRequest,
    ShutdownRequest,
    StartRequest,
    StopRequest,
    StreamLogsRequest,
)
from hsu_worker.wire.address import Address
from tests.languages.go.built import WORKER
from tests.languages.launch import Launched, launched

COMMAND = (str(WORKER),)
TEXT = SummarizeRequest(text="Millers make flour. Flour makes bread. It rains.", sentences=2)


async def test_it_says_who_it_is_and_what_it_offers(tmp_path: Path) -> None:
    async with launched(tmp_path, COMMAND) as worker:
        told = await worker.core.handshake(HandshakeRequest(contract_version=1))
        assert (1, worker.variables.instance) == (told.contract_version, told.instance)
        assert ("hsu-a-service", "0.1.0", "go") == (told.name, told.version, told.language)
        assert (worker.process.pid, STATE_STOPPED) == (told.pid, told.state)
        [offered] = told.interfaces
        assert (InterfaceA.name, InterfaceA.fingerprint) == (offered.name, offered.fingerprint)
        assert list(InterfaceA.methods) == ["summarize", "stream_summary"]
        assert [(m.name, m.server_streaming) for m in offered.methods] == [
            ("Summarize", False),
            ("StreamSummary", True),
        ]


async def test_on_tcp_it_reports_the_true_port_on_stdout(tmp_path: Path) -> None:
    async with launched(tmp_path, COMMAND, listen="tcp:127.0.0.1:0", descriptor=False) as worker:
        assert Address(host="127.0.0.1", port=0) == worker.variables.address
        ping = await worker.core.ping(PingRequest(payload=b"hello"))
        assert (b"hello", worker.variables.instance) == (ping.payload, ping.instance)


async def test_it_answers_calls_between_start_and_stop_only(tmp_path: Path) -> None:
    async with launched(tmp_path, COMMAND) as worker:
        a = InterfaceAClient(worker.connection)
        with pytest.raises(Unavailable) as before:
            await a.summarize(TEXT)
        await worker.start()
        assert "Millers make flour. Flour makes bread." == (await a.summarize(TEXT)).summary
        assert 2 == len([chunk async for chunk in a.stream_summary(TEXT)])
        with pytest.raises(InvalidArgument, match="text: it is empty"):
            await a.summarize(SummarizeRequest())
        status = await worker.core.get_status(GetStatusRequest())
        assert (STATE_RUNNING, 0, 3) == (status.state, status.calls_in_flight, status.calls_total)
        assert STATE_STOPPED == (await worker.core.stop(StopRequest())).state
        with pytest.raises(Unavailable) as after:
            await a.summarize(TEXT)
        assert [Dispatch.NO] * 2 == [before.value.dispatched, after.value.dispatched]


async def test_a_call_without_the_token_is_refused(tmp_path: Path) -> None:
    async with launched(tmp_path, COMMAND) as worker:
        for token in ("", "wrong"):
            stranger = worker.open(token)
            for call in (
                CoreClient(stranger).ping(PingRequest()),
                InterfaceAClient(stranger).summarize(TEXT),
            ):
                with pytest.raises(Unauthenticated) as refused:
                    await call
                assert Dispatch.NO == refused.value.dispatched


async def test_health_follows_the_state_without_a_token(tmp_path: Path) -> None:
    async with launched(tmp_path, COMMAND) as worker:
        check = worker.open("").channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )

        async def statuses() -> list[int]:
            names = ("", InterfaceA.name, "live")
            return [(await check(HealthCheckRequest(service=name))).status for name in names]

        serving, not_serving = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
        assert [not_serving, not_serving, serving] == await statuses()
        await worker.start()
        assert [serving] * 3 == await statuses()


async def test_its_log_is_followed_to_its_last_record(tmp_path: Path) -> None:
    async with launched(tmp_path, COMMAND) as worker:
        await worker.start()
        logs = worker.core.stream_logs(StreamLogsRequest(follow=True))
        first = await anext(logs)
        assert (worker.variables.instance, 1) == (first.window.instance, first.window.oldest)
        answer = await worker.core.shutdown(ShutdownRequest(grace=Duration(seconds=7)))
        assert 6 < answer.grace.ToTimedelta().total_seconds() <= 7
        records = [record async for message in logs for record in message.records]
        assert list(range(1, len(records) + 1)) == [record.sequence for record in records]
        assert (20, "hsu-a-service", "left") == (
            records[-1].level,
            records[-1].logger,
            records[-1].message,
        )
        assert 0 == await worker.exit_code()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_code_0(tmp_path: Path, number: signal.Signals) -> None:
    async with launched(tmp_path, COMMAND) as worker:
        await worker.start()
        worker.process.send_signal(number)
        assert 0 == await worker.exit_code()


#: It takes seconds: sentences that all share their words.
LONG = SummarizeRequest(text=f"All of it is {' '.join(f'word{i}' for i in range(200))}. " * 2_000)


async def in_flight(worker: Launched, *calls: asyncio.Future[Any]) -> None:
    """Wait until the calls have reached the worker."""
    while (await worker.core.ping(PingRequest())).calls_in_flight < len(calls):
        assert not any(call.done() for call in calls)


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with launched(tmp_path, COMMAND) as worker:
        await worker.start()
        slow = asyncio.ensure_future(InterfaceAClient(worker.connection).summarize(LONG))
        await in_flight(worker, slow)
        logs = worker.core.stream_logs(StreamLogsRequest(follow=True))
        async with aclosing(logs):
            worker.process.send_signal(signal.SIGTERM)
            async for message in logs:
                if any("leaving" in record.message for record in message.records):
                    break
            worker.process.send_signal(signal.SIGTERM)
            assert 128 + signal.SIGTERM == await worker.exit_code()
        with pytest.raises(Unavailable):
            await slow


async def test_the_end_of_its_lifeline_ends_it_while_a_call_runs(tmp_path: Path) -> None:
    async with launched(tmp_path, COMMAND) as worker:
        await worker.start()
        a = InterfaceAClient(worker.connection)
        slow = [asyncio.ensure_future(a.summarize(LONG)) for _ in range(8)]
        await in_flight(worker, *slow)
        worker.end_lifeline()
        assert 0 == await worker.exit_code()
        for ended in await asyncio.gather(*slow, return_exceptions=True):
            assert isinstance(ended, SummarizeResponse) or "longer than its grace" in str(ended)


async def test_the_end_of_its_lifeline_ends_it_before_it_is_claimed(tmp_path: Path) -> None:
    async with launched(tmp_path, COMMAND) as worker:
        worker.end_lifeline()
        assert 0 == await worker.exit_code()


async def test_a_start_can_be_repeated_a_hundred_times_without_leaking_descriptors(
    tmp_path: Path,
) -> None:
    async with launched(tmp_path, COMMAND) as worker:
        await worker.start()
        descriptors = f"/proc/{worker.process.pid}/fd"
        before = len(os.listdir(descriptors))
        for _ in range(100):
            await worker.core.stop(StopRequest())
            assert STATE_RUNNING == [s async for s in worker.core.start(StartRequest())][-1].state
        assert before == len(os.listdir(descriptors))


@pytest.mark.parametrize(
    ("variables", "arguments", "code", "problem"),
    [
        ({"HSU_INSTANCE": "x"}, [], 3, 'HSU_INSTANCE="x": not 32 hex digits in lower case'),
        ({}, ["-listen", "unix:x"], 3, 'address "unix:x": the path is not absolute'),
        ({}, ["-nonsense"], 2, "flag provided but not defined: -nonsense"),
        ({}, ["more"], 2, 'unknown argument "more"'),
    ],
)
def test_what_it_can_not_work_with_ends_it_with_a_reason(
    variables: dict[str, str], arguments: list[str], code: int, problem: str
) -> None:
    ran = subprocess.run(
        [*COMMAND, *arguments], env=variables, capture_output=True, text=True, check=False
    )
    assert (code, "") == (ran.returncode, ran.stdout)
    assert problem in ran.stderr
    assert "goroutine" not in ran.stderr
