"""Launches an HSU in any language as a master does, without a master."""

import asyncio
import os
import secrets
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hsu_worker.gen.hsu_core import STATE_RUNNING, CoreClient, HandshakeRequest, StartRequest
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import Announcement
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.launch import LaunchVariables

#: Longest wait for something that takes a fraction of a second.
PATIENCE = 20.0


@dataclass
class Launched:
    """A process that has announced itself."""

    process: Process
    variables: LaunchVariables
    address: Address
    connection: Connection
    others: list[Connection] = field(default_factory=list)

    @property
    def core(self) -> CoreClient:
        return CoreClient(self.connection)

    def open(self, token: str) -> Connection:
        """Another connection, as somebody else."""
        self.others.append(Connection.open(self.address, token=token))
        return self.others[-1]

    async def start(self) -> "Launched":
        """Claim it, and start it."""
        await self.core.handshake(HandshakeRequest(contract_version=1))
        last = [step async for step in self.core.start(StartRequest())][-1]
        assert STATE_RUNNING == last.state, last
        return self

    def end_lifeline(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def exit_code(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def launched(
    folder: Path, command: Sequence[str], *, listen: str = "", descriptor: bool = True
) -> AsyncGenerator[Launched, None]:
    """Launch a command; the process is gone after the block.

    Args:
        folder: Where its socket is.

        command: The program and its arguments.

        listen: Where to listen; empty: at a Unix socket.

        descriptor: Give it one for the announce line; otherwise the line comes on stdout.
    """
    read, write = os.pipe()
    variables = LaunchVariables(
        instance=secrets.token_hex(16),
        unit="unit",
        listen=listen or f"unix:{folder}/worker.sock",
        announce_fd=str(write) if descriptor else "",
        token=secrets.token_hex(16),
    )
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": os.environ["PATH"], **variables.environment()},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        pass_fds=(write,) if descriptor else (),
    )
    os.close(write)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = (
                await asyncio.to_thread(_to_the_end, read)
                if descriptor
                else await process.stdout.readline()
            )
        announcement = Announcement.parse(
            line, instance=variables.instance, asked=variables.address
        )
        connection = Connection.open(announcement.address, token=variables.token)
        it = Launched(process, variables, announcement.address, connection)
        yield it
        for each in (connection, *it.others):
            await each.close()
    finally:
        os.close(read)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.communicate()


def _to_the_end(descriptor: int) -> bytes:
    data = b""
    while chunk := os.read(descriptor, 4096):
        data += chunk
    return data
