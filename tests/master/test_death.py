"""Nothing that a master started outlives it, and a stop leaves nothing behind."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.gen.hsu_test_kinds import Ask
from tests.master.running import app, processes_in, running, text
from tests.until import until
from tests.worker.process import ROOT, environment

SCRIPT = """
import asyncio, sys
from hsu_worker.master import Config, Master
async def main():
    async with Master(Config.from_file(sys.argv[1])) as master:
        await master.start("u")
        print("started", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""

#: A child that keeps stdout; it inherits that SIGTERM is ignored.
STUBBORN = """
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "1000"])
"""

BUSY = """
begin = time.monotonic()
while time.monotonic() < begin + 10:
    if time.monotonic() > begin + 1:
        Path("importing").touch()
"""


@asynccontextmanager
async def master(folder: Path, toml: str) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """A master in a process of its own."""
    (folder / "hsu.toml").write_text(toml)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SCRIPT,
        str(folder / "hsu.toml"),
        cwd=ROOT,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_ready_worker_dies_with_its_master(tmp_path: Path) -> None:
    async with master(tmp_path, text(app(tmp_path))) as process:
        assert process.stdout
        assert b"started\n" == await asyncio.wait_for(process.stdout.readline(), 20)
        assert 1 == len(processes_in(tmp_path))
        process.kill()
        await until(lambda: not processes_in(tmp_path), within=10)


async def test_a_worker_that_is_busy_importing_dies_with_its_master(tmp_path: Path) -> None:
    async with master(tmp_path, text(app(tmp_path, before=BUSY))) as process:
        await until((tmp_path / "importing").exists)
        process.kill()
        # Less than the import would still take.
        await until(lambda: not processes_in(tmp_path), within=7)


async def test_a_command_that_is_being_started_dies_with_its_master(tmp_path: Path) -> None:
    async with master(tmp_path, text('command = ["sleep", "1000"]')) as process:
        await until(lambda: processes_in(tmp_path))
        process.kill()
        await until(lambda: not processes_in(tmp_path), within=10)


@pytest.mark.parametrize("grace", ["0s", "1s"])
async def test_a_stop_ends_a_child_that_ignores_sigterm(tmp_path: Path, grace: str) -> None:
    launch = app(tmp_path, before=STUBBORN)
    async with running(tmp_path, text(launch, f'grace = "{grace}"')) as it:
        await it.kinds.unary(Ask(), timeout=20)
        assert 2 == len(processes_in(tmp_path))
        await asyncio.wait_for(it.master.stop("u"), 15)
        assert [] == processes_in(tmp_path)


async def test_leaving_ends_a_command_that_ignores_sigterm(tmp_path: Path) -> None:
    code = "trap '' TERM; touch trapped; while :; do sleep 1; done"
    toml = text(f'command = ["sh", "-c", "{code}"]', 'grace = "1s"')
    async with running(tmp_path, toml) as it:
        start = asyncio.create_task(it.master.start("u"))
        await until((tmp_path / "trapped").exists)
    await asyncio.wait((start,), timeout=10)

    assert "unit 'u': the master is leaving" in str(start.exception())
    assert [] == processes_in(tmp_path)
