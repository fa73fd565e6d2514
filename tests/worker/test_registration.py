import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hsu_worker import Limits, NotFound, implements
from hsu_worker.gen.hsu_core import (
    Core,
    HandshakeRequest,
    KeepPlaceRequest,
    KeepPlaceResponse,
    RegisterRequest,
    RegisterResponse,
    Registry,
)
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.server import listening
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.worker.process import serving, write_service


@implements(Registry)
class FakeRegistry:
    """Notes who comes and goes; refuses the first so many."""

    def __init__(self, *, refuse: int = 0) -> None:
        self.refuse = refuse
        self.came: asyncio.Queue[RegisterRequest] = asyncio.Queue()
        self.went: asyncio.Queue[str] = asyncio.Queue()
        self.end = asyncio.Event()

    async def register(self, request: RegisterRequest) -> AsyncIterator[RegisterResponse]:
        self.came.put_nowait(request)
        if self.refuse:
            self.refuse -= 1
            yield RegisterResponse(reason="no such unit")
            return
        yield RegisterResponse(accepted=True)
        try:
            await self.end.wait()
            self.end.clear()
        finally:
            self.went.put_nowait(request.unit)

    async def keep_place(self, request: KeepPlaceRequest) -> KeepPlaceResponse:
        raise NotFound("nobody stands in")


@asynccontextmanager
async def master(folder: Path, registry: FakeRegistry) -> AsyncGenerator[Address, None]:
    dispatcher = Dispatcher(token="the-masters", limits=Limits())
    dispatcher.add_own(Registry, registry)
    async with listening(dispatcher, Address(path=str(folder / "master"))) as address:
        yield address


def arguments(folder: Path) -> list[str]:
    (folder / "token").write_text("the-workers")
    (folder / "master-token").write_text("the-masters")
    for name in ("token", "master-token"):
        (folder / name).chmod(0o600)
    return [
        write_service(folder),
        f"--listen=unix:{folder}/worker",
        "--token-file=token",
        f"--register=unix:{folder}/master",
        "--unit=index",
        "--master-token-file=master-token",
    ]


async def test_a_worker_registers_and_can_be_called_back(tmp_path: Path) -> None:
    registry = FakeRegistry()
    async with master(tmp_path, registry), serving(tmp_path, *arguments(tmp_path)) as process:
        request = await asyncio.wait_for(registry.came.get(), 20)
        connection = Connection.open(Address.parse(request.address), token=request.token)
        answer = await Core.client(connection).handshake(HandshakeRequest())
        await connection.close()
        process.send_signal(signal.SIGTERM)
        # The end of the stream is deregistration.
        gone = await asyncio.wait_for(registry.went.get(), 20)
        code = await process.wait()

    assert (request.unit, gone, code) == ("index", "index", 0)
    assert answer.instance == request.instance


async def test_a_worker_registers_again_when_the_master_ends_the_stream(tmp_path: Path) -> None:
    registry = FakeRegistry()
    async with master(tmp_path, registry), serving(tmp_path, *arguments(tmp_path)):
        first = await asyncio.wait_for(registry.came.get(), 20)
        registry.end.set()
        second = await asyncio.wait_for(registry.came.get(), 20)

    assert first == second


async def test_a_worker_waits_for_a_master_that_is_not_there_yet(tmp_path: Path) -> None:
    registry = FakeRegistry()
    async with serving(tmp_path, *arguments(tmp_path)) as process:
        assert process.stderr
        while b"registration with" not in (line := await process.stderr.readline()):
            assert line
        async with master(tmp_path, registry):
            request = await asyncio.wait_for(registry.came.get(), 20)

    assert request.unit == "index"


async def test_a_worker_that_is_refused_says_why_and_tries_again(tmp_path: Path) -> None:
    registry = FakeRegistry(refuse=1)
    async with master(tmp_path, registry), serving(tmp_path, *arguments(tmp_path)) as process:
        for _ in range(2):
            await asyncio.wait_for(registry.came.get(), 20)
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()

    assert f"unix:{tmp_path}/master refuses the registration: no such unit".encode() in errors
    assert process.returncode == 0
    assert b"the-workers" not in errors
    assert b"the-masters" not in errors
