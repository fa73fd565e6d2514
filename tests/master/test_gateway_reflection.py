import asyncio
import importlib
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from hsu_worker.errors import RpcError, StartError
from hsu_worker.master import Config, Master
from hsu_worker.master.gateway.gateway import OWN, Gateway
from hsu_worker.master.gateway.reflection import GatewayReflection
from hsu_worker.master.router import Router
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.server import listening
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection, Lease
from hsu_worker.wire.metadata import presents
from hsu_worker.wire.reflected import V1, V1ALPHA
from tests.master.gated import LIMITS, Loans, worker
from tests.test_stranger import BUF, PROTO, SERVICE, SHARED, run
from tests.wire.describing import Describing
from tests.worker.process import ROOT

TOML = """\
[units.odd]
command = ["./u"]
implements = ["odd.v1.Odd"]
[units.known]
command = ["./u"]
implements = ["hsu.a.v1.InterfaceA"]
"""


@asynccontextmanager
async def reflecting(
    *lent: Connection | RpcError, sent: str = "secret"
) -> AsyncGenerator[tuple[Loans, GatewayReflection, Connection], None]:
    loans = Loans(list(lent))
    reflection = GatewayReflection(
        Router(Config.from_text(TOML)),
        loans,
        ["hsu.master.v1.Master", "hsu.core.v1.Registry"],
        partial(presents, token="secret"),
    )
    async with worker(reflection.handler()) as connection:
        mine = Connection(connection.channel, (("authorization", f"Bearer {sent}"),))
        yield loans, reflection, mine


async def ask(connection: Connection, *questions: dict[str, Any], version: str = "v1") -> Any:
    stream: Any = connection.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = iter([reflection_pb2.ServerReflectionRequest(**each) for each in questions])
    return [answer async for answer in stream(requests, metadata=connection.metadata, timeout=20)]


def names(answer: Any) -> list[str]:
    """The files of an answer; the code of the error when it has none."""
    data = answer.file_descriptor_response.file_descriptor_proto
    if not data:
        return [str(answer.error_response.error_code)]
    return [FileDescriptorProto.FromString(each).name for each in data]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_all_that_can_be_called_is_listed_and_nothing_started(version: str) -> None:
    async with reflecting() as (loans, _, connection):
        (listed,) = await ask(connection, {"list_services": ""}, version=version)

    assert [service.name for service in listed.list_services_response.service] == [
        "grpc.health.v1.Health",
        V1,
        V1ALPHA,
        "hsu.a.v1.InterfaceA",
        "hsu.core.v1.Core",
        "hsu.core.v1.Registry",
        "hsu.master.v1.Master",
        "odd.v1.Odd",
    ]
    assert loans.asked == []


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("hsu.core.v1.Core", "hsu_core.proto"),
        ("hsu.a.v1.InterfaceA", "hsu_a.proto"),
        ("hsu.a.v1.InterfaceA.Summarize", "hsu_a.proto"),
        ("hsu.a.v1.SummarizeRequest", "hsu_a.proto"),
    ],
)
async def test_what_the_master_knows_itself_starts_nothing(symbol: str, file: str) -> None:
    importlib.import_module("hsu_worker.gen.hsu_a")
    async with reflecting() as (loans, _, connection):
        (found,) = await ask(connection, {"file_containing_symbol": symbol})

    assert file in names(found)
    assert loans.asked == []


@pytest.mark.parametrize("service", [V1, V1ALPHA])
@pytest.mark.parametrize("symbol", ["odd.v1.Odd", "odd.v1.Odd.Get", "odd.v1.Part"])
async def test_a_unit_is_asked_once_for_what_it_alone_knows(service: str, symbol: str) -> None:
    async with (
        worker(Describing(service)) as lent,
        reflecting(lent) as (loans, reflection, connection),
    ):
        leases = []
        for _ in range(2):
            found, part = await ask(
                connection, {"file_containing_symbol": symbol}, {"file_by_filename": "parts.proto"}
            )
            assert "parts.proto" in names(found)
            assert names(part) == ["parts.proto"]
            leases.append(len(loans.asked))
        what = "a description of odd.v1.Odd at the gateway"
        assert {(asked.unit, asked.what) for asked in loans.asked} == {("odd", what)}
        assert leases[0] == leases[1]
        reflection.forget("odd")
        await ask(connection, {"file_containing_symbol": symbol})

        assert len(loans.asked) == 2 * leases[0]


async def test_what_no_unit_knows_is_not_found() -> None:
    async with (
        worker(Describing(V1)) as lent,
        reflecting(lent) as (loans, _, connection),
    ):
        answers = await ask(
            connection,
            {"file_containing_symbol": "no.such.Thing"},
            {"file_containing_symbol": "odd.v1.Nothing"},
            {"file_by_filename": "no_such.proto"},
            {"file_containing_symbol": "odd.v1.Odd"},
        )

    assert [names(answer) for answer in answers] == [
        ["5"],
        ["5"],
        ["5"],
        ["odd.proto", "parts.proto"],
    ]
    assert {asked.unit for asked in loans.asked} == {"odd"}


async def test_a_unit_that_does_not_start_says_why() -> None:
    async with reflecting(StartError("unit 'odd' did not start: gone")) as (_, _, connection):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(connection, {"file_containing_symbol": "odd.v1.Odd"})

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert raised.value.details() == "unit 'odd' did not start: gone"


async def test_a_unit_without_reflection_is_named() -> None:
    async with worker() as lent, reflecting(lent) as (_, _, connection):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(connection, {"file_containing_symbol": "odd.v1.Odd"})

    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert raised.value.details() == "unit 'odd' has no reflection"


async def test_a_unit_that_tells_half_is_named() -> None:
    async with (
        worker(Describing(V1, complete=False)) as lent,
        reflecting(lent) as (_, _, connection),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(connection, {"file_containing_symbol": "odd.v1.Odd"})

    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert raised.value.details() == (
        "unit 'odd': what its reflection tells is incomplete: 'parts.proto'"
    )


async def test_reflection_needs_the_token() -> None:
    async with reflecting(sent="wrong") as (loans, _, connection):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(connection, {"list_services": ""})

    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert loans.asked == []


class MasterLender:
    """Lends the units of a true master."""

    def __init__(self, master: Master) -> None:
        self._master = master

    def lease(self, interface: str, unit: str, *, what: str, start: bool, chain: str = "") -> Lease:
        return self._master._unit(unit).lease(None, what, start=start)


async def test_buf_curl_calls_an_absent_unit_by_reflection(tmp_path: Path) -> None:
    (tmp_path / "proto").mkdir()
    (tmp_path / "proto/stranger.proto").write_text(PROTO)
    (tmp_path / "proto/stranger_shared.proto").write_text(SHARED)
    (tmp_path / "mysvc.py").write_text(SERVICE)
    protos = ["proto/stranger.proto", "proto/stranger_shared.proto"]
    await run(tmp_path, sys.executable, "-m", "hsu_worker", "gen", *protos, "--out", "gen")
    toml = f"""\
[units.strange]
app = "mysvc:Odd"
implements = ["stranger.v1.Strange"]
env = {{PYTHONPATH = "{ROOT}"}}
"""
    config = Config.from_text(toml, folder=tmp_path)
    authorize = partial(presents, token="secret")

    async def buf(*arguments: str) -> str:
        return await run(
            tmp_path,
            *(str(BUF), "curl", "--protocol=grpc", "--http2-prior-knowledge"),
            *(f"--unix-socket={tmp_path}/g", "--header=authorization: Bearer secret"),
            "--reflect-header=*",
            *arguments,
        )

    async with Master(config) as master:
        lender, router = MasterLender(master), Router(config)
        reflection = GatewayReflection(router, lender, OWN, authorize)
        async with listening(
            Dispatcher(token="secret", limits=LIMITS),
            Address(path=f"{tmp_path}/g"),
            reflection.handler(),
            Gateway(router, lender, authorize=authorize, owns=authorize),
        ):
            answer = await buf(
                '--data={"text": "hello", "at": "1970-01-01T00:00:07Z"}',
                "http://localhost/stranger.v1.Strange/One",
            )
            listed = await buf("--list-methods", "http://localhost")
            assert master.status()["strange"].generation == 1
            reflection.close()

    assert json.loads(answer) == {"text": "HELLO", "seconds": "7"}
    assert "stranger.v1.Strange/Talk" in listed
    assert "hsu.master.v1.Master/List" in listed
    assert asyncio.all_tasks() == {asyncio.current_task()}
