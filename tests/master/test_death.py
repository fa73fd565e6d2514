"""Nothing that a master started outlives it, and a stop leaves nothing behind."""

import asyncio
import os
import sys
import time
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
from tests.gen.hsu_test_kinds import Ask, Kinds
async def main():
    async with Master(Config.from_file(sys.argv[1])) as master:
        await master.start("u")
        print("started", flush=True)
        if "busy" in sys.argv:
            await master.client(Kinds).unary(Ask())
        await asyncio.Event().wait()
asyncio.run(main())
"""

#: A child that keeps stdout; it inherits that SIGTERM is ignored.
STUBBORN = """
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "1000"])
"""

#: What a worker may be at when its master dies; each says so, and goes on for ten seconds.
IMPORTS = "Path('begun').touch(); time.sleep(10)"
COMPUTES = """
Path("begun").touch()
begin = time.monotonic()
while time.monotonic() < begin + 10:
    pass
"""
WAITS = "async def unary(self, request):\n    Path('begun').touch()\n    await asyncio.sleep(10)"
BLOCKS = "async def unary(self, request):\n    Path('begun').touch()\n    time.sleep(10)"
#: It backtracks for hours, and holds the interpreter.
NATIVE = "import re; Path('begun').touch(); re.match('(a*)*b', 'a' * 40)"
HOLDS = f"async def unary(self, request):\n    {NATIVE}"

#: SIGTERM at once and SIGKILL after the keeper's 0.7 s: 0.8 s measured. Five times that.
BOUND = 4.0


@asynccontextmanager
async def master(
    folder: Path, toml: str, *arguments: str
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """A master in a process of its own."""
    (folder / "hsu.toml").write_text(toml)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SCRIPT,
        str(folder / "hsu.toml"),
        *arguments,
        cwd=ROOT,
        # What a killed master leaves behind goes with the test's folder.
        env=environment(XDG_RUNTIME_DIR=str(folder)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def keepers_of(pid: int) -> list[int]:
    """The children of a master: its keeper."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def dies_with_its_master(process: asyncio.subprocess.Process, folder: Path) -> None:
    """Kill a master, and see its keeper and all processes of its unit gone."""
    (keeper,) = keepers_of(process.pid)
    assert processes_in(folder)
    process.kill()
    began = time.monotonic()

    def left() -> list[int]:
        # A zombie has neither a folder nor a program.
        keepers = [keeper] if os.path.exists(f"/proc/{keeper}/exe") else []
        return processes_in(folder) + keepers

    # Twice as long as it may take, to learn how long it did take.
    while (late := left()) and time.monotonic() < began + 2 * BOUND:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    took = time.monotonic() - began
    assert not late, f"processes {late} outlived their master by more than {took:.2f} s"
    assert took < BOUND, f"they outlived their master by {took:.2f} s"


async def test_an_idle_worker_dies_with_its_master(tmp_path: Path) -> None:
    async with master(tmp_path, text(app(tmp_path))) as process:
        assert process.stdout
        assert b"started\n" == await asyncio.wait_for(process.stdout.readline(), 20)
        assert 1 == len(processes_in(tmp_path))
        await dies_with_its_master(process, tmp_path)


@pytest.mark.parametrize("what", [IMPORTS, COMPUTES, NATIVE], ids=["waits", "computes", "native"])
async def test_a_worker_that_is_importing_dies_with_its_master(tmp_path: Path, what: str) -> None:
    async with master(tmp_path, text(app(tmp_path, before=what))) as process:
        await until((tmp_path / "begun").exists)
        await dies_with_its_master(process, tmp_path)


@pytest.mark.parametrize("what", [WAITS, BLOCKS, HOLDS], ids=["waits", "blocks", "native"])
async def test_a_worker_with_a_call_dies_with_its_master(tmp_path: Path, what: str) -> None:
    async with master(tmp_path, text(app(tmp_path, what)), "busy") as process:
        await until((tmp_path / "begun").exists)
        await dies_with_its_master(process, tmp_path)


async def test_a_stubborn_child_dies_with_its_master(tmp_path: Path) -> None:
    launch = app(tmp_path, before=STUBBORN)
    async with master(tmp_path, text(launch)) as process:
        assert process.stdout
        assert b"started\n" == await asyncio.wait_for(process.stdout.readline(), 20)
        assert 2 == len(processes_in(tmp_path))
        await dies_with_its_master(process, tmp_path)


async def test_a_command_that_is_being_started_dies_with_its_master(tmp_path: Path) -> None:
    async with master(tmp_path, text('command = ["sleep", "1000"]')) as process:
        await until(lambda: processes_in(tmp_path))
        await dies_with_its_master(process, tmp_path)


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
