"""A shell in which `hsu-worker` runs, and a `master run` in it, as true processes."""

import asyncio
import json
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.master.running import processes_in
from tests.until import until
from tests.worker.process import environment

COMMAND = (sys.executable, "-m", "hsu_worker")


#: Says how far its start is, waits while `wait` is there, and fails while `fail` is.
BODY = """
@lifespan
async def loaded(self):
    print("loading", flush=True)
    report_progress(0.25, "reading\\x1b[2J")
    while Path("wait").exists():
        await asyncio.sleep(0.002)
    if Path("fail").exists():
        raise ValueError("no model")
    yield
async def server_stream(self, request):
    yield Answer(number=0)
    while not Path("go").exists():
        await asyncio.sleep(0.002)
    yield Answer(number=1)
"""


@dataclass
class Shell:
    """A folder with an `hsu.toml`, and an environment in which no other master is found."""

    folder: Path
    variables: dict[str, str]
    masters: set[int] = field(default_factory=set)
    """The pids of those that run."""

    async def begin(self, *arguments: str, **options: Any) -> Process:
        """Start a command."""
        return await asyncio.create_subprocess_exec(
            *COMMAND,
            *arguments,
            cwd=self.folder,
            env=environment(**self.variables),
            **({"stdin": subprocess.DEVNULL, "stdout": PIPE, "stderr": PIPE} | options),
        )

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command; returns its exit code, stdout and stderr."""
        process = await self.begin(*arguments)
        out, errors = await process.communicate()
        assert process.returncode is not None
        # A worker's last lines are indented.
        assert b"\nTraceback" not in b"\n" + errors, errors.decode()
        return process.returncode, out.decode(), errors.decode()

    async def out(self, *arguments: str) -> str:
        """Run a command that succeeds; returns its stdout."""
        code, out, errors = await self.run(*arguments)
        assert (0, "") == (code, errors), out
        return out

    async def json(self, *arguments: str) -> Any:
        return json.loads(await self.out(*arguments, "--json"))

    async def error(self, *arguments: str, code: int = 1) -> str:
        """Run a command that fails; returns what it says."""
        actual, out, errors = await self.run(*arguments)
        assert (code, "") == (actual, out), errors
        return errors.removeprefix("Error: ").removesuffix("\n")


@dataclass
class Running:
    """A `master run`, and where it says that it listens."""

    process: Process
    addresses: list[str]
    token_file: str
    shell: Shell

    async def leave(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it; returns the exit code and its stderr."""
        self.process.send_signal(number)
        async with asyncio.timeout(20):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def running(shell: Shell, *arguments: str) -> AsyncGenerator[Running, None]:
    process = await shell.begin("master", "run", "hsu.toml", "--json", *arguments)
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line, await process.communicate()
        told = json.loads(line)
        assert (process.pid, ["u"]) == (told["pid"], told["units"])
        shell.masters.add(process.pid)
        yield Running(process, told["addresses"], told["token_file"], shell)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        shell.masters.discard(process.pid)
        await until(lambda: shell.masters.issuperset(processes_in(shell.folder)))


async def until_phase(shell: Shell, *phases: str) -> None:
    async with asyncio.timeout(20):
        while (await shell.json("list"))[0]["phase"] not in phases:
            pass
