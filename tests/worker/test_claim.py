import asyncio
import faulthandler
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from hsu_worker import App, Unauthenticated
from hsu_worker.gen.hsu_core import Core, HandshakeRequest, PingRequest, ShutdownRequest
from hsu_worker.serving.logring import LogRing
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.launch import LaunchVariables
from hsu_worker.worker.launched import live_launched
from tests.serving.kinds import AsyncKinds


async def live(
    folder: Path, timeout: float, *steps: Callable[[Connection], Coroutine[Any, Any, None]]
) -> None:
    """Be a launched worker in this process until it leaves; take steps once it has announced."""
    read, write = os.pipe()
    variables = LaunchVariables(
        instance="1" * 32, listen=f"unix:{folder}/s", announce_fd=str(write), token="secret"
    )
    life = asyncio.create_task(
        live_launched(App(AsyncKinds()), variables, LogRing(), None, claim_timeout=timeout)
    )
    assert await asyncio.to_thread(os.read, read, 1024)
    os.close(read)
    connection = Connection.open(variables.address, token="secret")
    for step in steps:
        await step(connection)
    async with asyncio.timeout(20):
        await life
    # This process goes on.
    faulthandler.cancel_dump_traceback_later()
    await connection.close()


async def handshake(connection: Connection) -> None:
    await Core.client(connection).handshake(HandshakeRequest())


async def shutdown(connection: Connection) -> None:
    await Core.client(connection).shutdown(ShutdownRequest())


async def ping(connection: Connection) -> None:
    await Core.client(connection).ping(PingRequest())


async def stranger(connection: Connection) -> None:
    with pytest.raises(Unauthenticated):
        await Core.client(connection.channel).handshake(HandshakeRequest())


async def test_a_worker_that_nobody_claims_leaves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await live(tmp_path, 0.1)

    assert "leaving: no master made a handshake within 0.1 s" in caplog.text


async def test_neither_a_ping_nor_a_stranger_claims_it(tmp_path: Path) -> None:
    await live(tmp_path, 0.3, ping, stranger)


async def test_a_handshake_claims_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def wait(connection: Connection) -> None:
        await asyncio.sleep(0.6)
        await ping(connection)

    await live(tmp_path, 0.3, handshake, wait, shutdown)

    assert "leaving: Shutdown, by unix:" in caplog.text
    assert "no master" not in caplog.text
