import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from hsu_worker import App
from hsu_worker.serving.logring import LogRing
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from hsu_worker.worker.answering import answering
from tests.serving.kinds import AsyncKinds

SERVICES = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "hsu.core.v1.Core",
    "hsu.test.v1.Kinds",
]
BUF = Path(sys.executable).with_name("buf")


async def ask(connection: Connection, version: str, **request: Any) -> Any:
    channel: Any = connection.channel
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    question = reflection_pb2.ServerReflectionRequest(**request)
    (answer,) = [answer async for answer in call(iter([question]), metadata=connection.metadata)]
    return answer


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_every_service_is_listed_and_can_be_resolved(tmp_path: Path, version: str) -> None:
    address = Address(path=str(tmp_path / "s"))
    async with answering(
        App(AsyncKinds()), address, instance="1" * 32, token="secret", ring=LogRing()
    ):
        connection = Connection.open(address, token="secret")
        listed = await ask(connection, version, list_services="")
        names = [service.name for service in listed.list_services_response.service]
        packages = []
        for name in names:
            found = await ask(connection, version, file_containing_symbol=name)
            files = [
                descriptor_pb2.FileDescriptorProto.FromString(data)
                for data in found.file_descriptor_response.file_descriptor_proto
            ]
            packages.append(files[0].package)
        await connection.close()

    assert names == SERVICES
    assert packages == [name.rpartition(".")[0] for name in SERVICES]


async def test_reflection_needs_the_token(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "s"))
    async with answering(
        App(AsyncKinds()), address, instance="1" * 32, token="secret", ring=LogRing()
    ):
        connection = Connection.open(address)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(connection, "v1", list_services="")
        await connection.close()

    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_buf_curl_finds_its_way_by_reflection(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "s"))

    async def buf(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(BUF),
            "curl",
            "--protocol=grpc",
            "--http2-prior-knowledge",
            "--reflect-protocol=grpc-v1",
            f"--unix-socket={address.path}",
            "--header=authorization: Bearer secret",
            "--reflect-header=*",
            *arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, problem = await process.communicate()
        assert process.returncode == 0, problem.decode()
        return out.decode()

    async with answering(
        App(AsyncKinds()), address, instance="1" * 32, token="secret", ring=LogRing()
    ) as worker:
        await worker.lifecycle.started()
        methods = await buf("--list-methods", "http://localhost")
        answer = await buf('--data={"text": "hello"}', "http://localhost/hsu.test.v1.Kinds/Unary")

    assert "hsu.test.v1.Kinds/Bidi" in methods
    assert "hsu.core.v1.Core/Ping" in methods
    assert json.loads(answer) == {"text": "hello"}


async def test_what_is_no_request_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = Address(path=str(tmp_path / "s"))
    async with answering(
        App(AsyncKinds()), address, instance="1" * 32, token="secret", ring=LogRing()
    ):
        connection = Connection.open(address, token="secret")
        channel: Any = connection.channel
        call = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        )(iter([b"\xff\xff"]), metadata=connection.metadata)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        await connection.close()

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [] == caplog.records
