"""Who may call a worker that the master launched: the master, and nobody else."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from hsu_worker.errors import Dispatch, RpcError, Unauthenticated
from hsu_worker.gen.hsu_core import (
    Core,
    HandshakeRequest,
    PingRequest,
    ShutdownRequest,
    StopRequest,
    StreamLogsRequest,
)
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import Running, app, processes_in, running, text
from tests.serving.served import raw

REFUSAL = "the token is missing or wrong: send `authorization: Bearer <token>`"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


@dataclass(frozen=True)
class Launched:
    """A worker that the master runs, as an outsider finds it."""

    it: Running
    address: Address
    token: str

    @asynccontextmanager
    async def caller(self, token: str) -> AsyncGenerator[Connection, None]:
        connection = Connection.open(self.address, token=token)
        try:
            yield connection
        finally:
            await connection.close()


def token_of(pid: int) -> str:
    """The environment that a process began with holds what it has deleted."""
    for pair in Path(f"/proc/{pid}/environ").read_text().split("\0"):
        if pair.startswith("HSU_TOKEN="):
            return pair.removeprefix("HSU_TOKEN=")
    raise AssertionError("it was launched without a token")


def listeners(pid: int) -> list[tuple[IPv4Address, int]]:
    """The TCP addresses at which a process listens; grpc takes an IPv6 socket for IPv4 too."""
    sockets = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                host, port = local.split(":")
                *before, last = (
                    bytes.fromhex(host[i : i + 8])[::-1] for i in range(0, len(host), 8)
                )
                assert before in ([], [bytes(4), bytes(4), b"\0\0\xff\xff"])
                found.append((IPv4Address(last), int(port, 16)))
    return found


def sockets_in(folder: Path) -> list[Path]:
    """Those of workers, in the folders of masters that run below a folder."""
    return list(folder.glob("hsu-*/u-*.sock"))


@asynccontextmanager
async def launched(folder: Path, listen: str) -> AsyncGenerator[Launched, None]:
    # A fork does not show what it was launched with.
    unit = ('launcher = "spawn"', f'listen = "{listen}"')
    toml = text(app(folder), *unit, "[master]", f'runtime_dir = "{folder}"')
    async with running(folder, toml) as it:
        await it.kinds.unary(Ask(), timeout=30)
        (pid,) = processes_in(folder)
        if listen == "unix":
            (path,) = sockets_in(folder)
            address = Address(path=str(path))
            assert [] == listeners(pid)
        else:
            ((host, port),) = listeners(pid)
            assert IPv4Address("127.0.0.1") == host
            address = Address(host=str(host), port=port)
            assert [] == sockets_in(folder)
        yield Launched(it, address, token_of(pid))
        # Whatever a stranger tried: it is the same worker, and it serves.
        assert "hi" == (await it.kinds.unary(Ask(text="hi"), timeout=30)).text
        assert ["starting", "ready"] == [event.kind for event in it.told]


def almost(token: str) -> list[str]:
    return ["", "wrong", token[:-1], f"{token}x", token.swapcase()]


@pytest.mark.parametrize("listen", ["unix", "tcp"])
async def test_a_call_needs_the_launchs_token(tmp_path: Path, listen: str) -> None:
    async with launched(tmp_path, listen) as worker:
        for token in almost(worker.token):
            async with worker.caller(token) as connection:
                with pytest.raises(Unauthenticated) as caught:
                    await Kinds.client(connection).unary(Ask(), timeout=10)
                assert REFUSAL == caught.value.message
                assert Dispatch.NO == caught.value.dispatched
        async with worker.caller(worker.token) as connection:
            assert "in" == (await Kinds.client(connection).unary(Ask(text="in"), timeout=10)).text


@pytest.mark.parametrize("listen", ["unix", "tcp"])
async def test_no_method_of_core_answers_a_stranger(tmp_path: Path, listen: str) -> None:
    async with launched(tmp_path, listen) as worker:
        for token in ("", "wrong"):
            async with worker.caller(token) as connection:
                core = Core.client(connection)
                for call in (
                    core.ping(PingRequest(), timeout=10),
                    core.handshake(HandshakeRequest(contract_version=1), timeout=10),
                    core.stop(StopRequest(), timeout=10),
                    core.shutdown(ShutdownRequest(), timeout=10),
                    anext(core.stream_logs(StreamLogsRequest(), timeout=10)),
                ):
                    with pytest.raises(Unauthenticated):
                        await call


@pytest.mark.parametrize("listen", ["unix", "tcp"])
async def test_a_stranger_sees_whether_it_lives_and_no_more(tmp_path: Path, listen: str) -> None:
    async with launched(tmp_path, listen) as worker, worker.caller("") as connection:
        check = connection.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest())
        reflect = raw(connection, "stream_stream", REFLECTION)(iter(()))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflect.read()

    assert health_pb2.HealthCheckResponse.SERVING == answer.status
    assert grpc.StatusCode.UNAUTHENTICATED == caught.value.code()


async def test_the_token_of_one_generation_is_none_of_the_next(tmp_path: Path) -> None:
    async with launched(tmp_path, "tcp") as first:
        pass
    async with launched(tmp_path, "tcp") as second:
        assert first.token != second.token
        async with second.caller(first.token) as connection:
            with pytest.raises(RpcError) as caught:
                await Kinds.client(connection).unary(Ask(), timeout=10)
    assert Unauthenticated is type(caught.value)


#: Becomes nobody, and says what it can do with a folder and the socket in it.
STRANGER = """
import os, socket, sys
folder, path = sys.argv[1:]
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print("parent", "listed" if os.listdir(os.path.dirname(folder)) else "empty")
def attempt(name, action):
    try:
        action()
        print(name, "done")
    except OSError as error:
        print(name, type(error).__name__)
attempt("list", lambda: os.listdir(folder))
attempt("connect", lambda: socket.socket(socket.AF_UNIX).connect(path))
attempt("write", lambda: open(os.path.join(folder, "x"), "w"))
attempt("remove", lambda: os.unlink(path))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Not below pytest's own folder, which is closed to others whatever the master does."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


async def test_another_user_gets_no_way_in(tmp_path: Path, open_folder: Path) -> None:
    toml = text(app(tmp_path), "[master]", f'runtime_dir = "{open_folder}"')
    async with running(tmp_path, toml) as it:
        await it.kinds.unary(Ask(), timeout=30)
        (path,) = sockets_in(open_folder)
        facts = os.stat(path.parent)
        assert (0o700, os.geteuid()) == (stat.S_IMODE(facts.st_mode), facts.st_uid)
        # Only root can become another user. For everybody else the owner and the mode of the
        # folder, asserted above, are all that a test can see.
        if os.geteuid() == 0:
            assert [
                "parent listed",
                "list PermissionError",
                "connect PermissionError",
                "write PermissionError",
                "remove PermissionError",
            ] == attempts_of_nobody(path)
        with socket.socket(socket.AF_UNIX) as own:
            own.connect(str(path))
        assert "hi" == (await it.kinds.unary(Ask(text="hi"), timeout=30)).text


def attempts_of_nobody(path: Path) -> list[str]:
    stranger = subprocess.run(
        [sys.executable, "-c", STRANGER, str(path.parent), str(path)],
        capture_output=True,
        check=True,
        text=True,
        timeout=20,
    )
    return stranger.stdout.splitlines()
