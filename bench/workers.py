"""A worker that no master owns: launched by hand, as docs/launch-contract.md says."""

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bench.measure import ROOT
from hsu_worker.gen.hsu_core import CoreClient, HandshakeRequest, StartRequest, State
from hsu_worker.wire.announce import CONTRACT_VERSION
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.launch import LaunchVariables


@asynccontextmanager
async def worker(app: str = "bench.service:Echo") -> AsyncGenerator[Connection, None]:
    """A connection to one that is RUNNING; nobody reads its log."""
    with tempfile.TemporaryDirectory(prefix="hsu-bench-") as folder:
        variables = LaunchVariables(
            instance=secrets.token_hex(16),
            listen=f"unix:{folder}/worker.sock",
            token=secrets.token_urlsafe(32),
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hsu_worker.worker",
            app,
            cwd=ROOT,
            env={**os.environ, **variables.environment()},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert (await process.stdout.readline()).startswith(b"HSU ")
            connection = Connection.open(variables.address, token=variables.token)
            core = CoreClient(connection)
            await core.handshake(HandshakeRequest(contract_version=CONTRACT_VERSION))
            steps = [step async for step in core.start(StartRequest())]
            assert steps[-1].state == State.STATE_RUNNING
            yield connection
            await connection.close()
        finally:
            process.stdin.close()
            await process.wait()
