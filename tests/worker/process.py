"""True worker processes for tests: launched as a master launches them, and serving on their own."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hsu_worker.gen.hsu_core import (
    STATE_RUNNING,
    Core,
    CoreClient,
    HandshakeRequest,
    PingRequest,
    StartRequest,
)
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import Announcement
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.launch import LaunchVariables
from tests.gen.hsu_test_kinds import Kinds, KindsClient

ROOT = Path(__file__).parents[2]
INSTANCE = "0123456789abcdef" * 2
TOKEN = "the-launchs-token"

#: A module with one service; `{body}` is put into the class.
SERVICE = """
import asyncio, os, sys, time, threading
from pathlib import Path
from hsu_worker import *
from tests.gen.hsu_test_kinds import *

{before}

@implements(Kinds)
class Service:
    async def unary(self, request):
        return Answer(text=request.text)
    async def client_stream(self, requests):
        return Answer(number=len([r async for r in requests]))
    async def server_stream(self, request):
        for number in range(request.number):
            yield Answer(number=number)
    async def bidi(self, requests):
        async for request in requests:
            yield Answer(text=request.text)
{body}
"""


def write_service(folder: Path, body: str = "", *, before: str = "") -> str:
    """Write the module `mysvc` into a folder; returns its import string."""
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    (folder / "mysvc.py").write_text(SERVICE.format(body=indented, before=before))
    return "mysvc:Service"


def environment(**more: str) -> dict[str, str]:
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ
    }
    return kept | {"PYTHONPATH": str(ROOT)} | more


@dataclass
class Worker:
    """A process, and its announced address."""

    process: Process
    announce: int
    lifeline: int
    asked: Address
    token: str = TOKEN
    connections: list[Connection] = field(default_factory=list)
    connection: Connection = field(init=False)
    address: Address = field(init=False)

    async def announced(self) -> bytes:
        """The bytes of the announce descriptor, up to its end."""
        data = b""
        while chunk := await asyncio.to_thread(os.read, self.announce, 4096):
            data += chunk
        return data

    async def connect(self) -> "Worker":
        line = await self.announced()
        self.address = Announcement.parse(line, instance=INSTANCE, asked=self.asked).address
        self.connection = self.open(self.token)
        return self

    def open(self, token: str) -> Connection:
        self.connections.append(Connection.open(self.address, token=token))
        return self.connections[-1]

    @property
    def core(self) -> CoreClient:
        return Core.client(self.connection)

    @property
    def kinds(self) -> KindsClient:
        return Kinds.client(self.connection)

    async def start(self) -> "Worker":
        """Connect, claim it, and start it."""
        await self.connect()
        await self.core.handshake(HandshakeRequest(contract_version=1))
        last = [step async for step in self.core.start(StartRequest())][-1]
        assert last.state == STATE_RUNNING, last
        return self

    async def in_flight(self, calls: int) -> None:
        """Wait until so many calls are in flight."""
        while (await self.core.ping(PingRequest())).calls_in_flight < calls:  # noqa: ASYNC110
            await asyncio.sleep(0.002)

    async def exit_code(self, within: float = 20) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()

    async def sigterm(self) -> int:
        """Ask it to leave, by a signal; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.exit_code()

    async def errors(self) -> str:
        assert self.process.stderr
        return (await self.process.stderr.read()).decode()

    async def output(self) -> str:
        assert self.process.stdout
        return (await self.process.stdout.read()).decode()

    def end_lifeline(self) -> None:
        os.close(self.lifeline)
        self.lifeline = -1


@asynccontextmanager
async def launched(
    folder: Path, target: str, *, listen: str = "", token: str = TOKEN, **variables: str
) -> AsyncGenerator[Worker, None]:
    """Launch `target` as a master does; the process is gone after the block."""
    asked = Address.parse(listen or f"unix:{folder}/worker.sock")
    read, write = os.pipe()
    stdin, lifeline = os.pipe()
    launch = LaunchVariables(
        instance=INSTANCE,
        unit="unit",
        listen=str(asked),
        announce_fd=str(write),
        token=token,
        master="unix:/no/master",
        master_token="the-masters-token",
    )
    given = {**launch.environment(), **variables}
    if given.get("HSU_ANNOUNCE_FD") == "":
        del given["HSU_ANNOUNCE_FD"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hsu_worker.worker",
        target,
        cwd=folder,
        env=environment(**given),
        stdin=stdin,
        stdout=PIPE,
        stderr=PIPE,
        pass_fds=(write,),
    )
    os.close(write)
    os.close(stdin)
    worker = Worker(process=process, announce=read, lifeline=lifeline, asked=asked, token=token)
    try:
        yield worker
    finally:
        for connection in worker.connections:
            await connection.close()
        await _end(process)
        os.close(read)
        if worker.lifeline >= 0:
            os.close(worker.lifeline)


@asynccontextmanager
async def serving(
    folder: Path, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL, **variables: str
) -> AsyncGenerator[Process, None]:
    """Run `hsu-worker serve` with some arguments; the process is gone after the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hsu_worker",
        "serve",
        *arguments,
        cwd=folder,
        env=environment(**variables),
        stdin=stdin,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        await _end(process)


async def served_at(process: Process) -> Address:
    """Where it says that it serves."""
    assert process.stdout
    assert process.stderr
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    match = re.match(r"serving hsu\.test\.v1\.Kinds at (\S+?)[,;]? ", line)
    assert match, line or (await process.stderr.read()).decode()
    return Address.parse(match[1])


@asynccontextmanager
async def connected(address: Address | str, token: str = "") -> AsyncGenerator[Connection, None]:
    """A connection to whoever listens at an address."""
    at = address if isinstance(address, Address) else Address.parse(address)
    connection = Connection.open(at, token=token)
    try:
        yield connection
    finally:
        await connection.close()


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.communicate()
