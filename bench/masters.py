"""Masters and bare servers to measure."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.measure import ROOT
from hsu_worker.master import Config, Master
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection


def unit(name: str, app: str = "bench.service:Echo", *more: str) -> str:
    """The table of one unit."""
    lines = (
        f"[units.{name}]",
        f'app = "{app}"',
        'implements = ["hsu.test.v1.Kinds"]',
        f'env = {{PYTHONPATH = "{ROOT}"}}',
        *more,
    )
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def master(toml: str) -> AsyncGenerator[Master, None]:
    with tempfile.TemporaryDirectory(prefix="hsu-bench-") as folder:
        config = Config.from_text(toml, folder=folder)
        async with Master(config) as running:
            yield running


@asynccontextmanager
async def bare() -> AsyncGenerator[Connection, None]:
    """A connection to a bare grpcio server in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="hsu-bench-") as folder:
        path = Path(folder) / "bare.sock"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.service",
            str(path),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdout.readline()
        connection = Connection.open(Address.parse(f"unix:{path}"))
        try:
            yield connection
        finally:
            await connection.close()
            process.stdin.close()
            await process.wait()
