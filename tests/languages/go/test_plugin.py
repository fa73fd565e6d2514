"""A Python HSU as the plugin of a true host: a Go program with HashiCorp's go-plugin."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.examples.conftest import EXAMPLES
from tests.languages.go.built import PLUGIN_HOST
from tests.languages.launch import PATIENCE
from tests.master.running import processes_in
from tests.until import until
from tests.worker.process import environment

TEXT = "Millers make flour. Flour makes bread. It rains. It snows."

#: The example's class, and it says something.
TALKS = """
import logging, sys
from hsu_a_service1.service import Summarizer
from hsu_worker import implements
from hsu_worker.gen.hsu_a import InterfaceA

print("imported", flush=True)

@implements(InterfaceA)
class Talks(Summarizer):
    def summarize(self, request):
        print("asked")
        print("oh", file=sys.stderr)
        logging.getLogger("talks").warning("odd", extra={"count": 3})
        return super().summarize(request)
"""


@asynccontextmanager
async def host(folder: Path, *arguments: str) -> AsyncGenerator[Process, None]:
    process = await asyncio.create_subprocess_exec(
        *(PLUGIN_HOST, "-text", TEXT),
        *arguments,
        *("--", sys.executable, "-m", "hsu_worker", "serve", "talks:Talks"),
        cwd=folder,
        env=environment() | {"PYTHONPATH": f"{EXAMPLES.parent}:{EXAMPLES / 'hsu_a_service1'}"},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(folder: Path, *arguments: str) -> tuple[int | None, str, list[dict[str, Any]]]:
    """Run the host; returns its exit code, its output and its log."""
    async with host(folder, *arguments) as process:
        async with asyncio.timeout(PATIENCE):
            out, errors = await process.communicate()
    lines = [line for line in errors.decode().splitlines() if line.startswith("{")]
    log = [json.loads(line) for line in lines]
    rest = [line for line in errors.decode().splitlines() if not line.startswith("{")]
    return process.returncode, "\n".join([out.decode(), *rest]), log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "talks.py").write_text(TALKS)
    return tmp_path


@pytest.mark.parametrize("arguments", [[], ["-tls"]], ids=["plain", "AutoMTLS"])
async def test_a_host_launches_it_calls_it_and_ends_it(folder: Path, arguments: list[str]) -> None:
    code, out, log = await run(folder, *arguments)
    assert 0 == code, out
    assert (
        "version 1 of the protocol; summary: "
        "Millers make flour. Flour makes bread. It rains.\n" in out
    )
    assert [] == processes_in(folder)

    messages = [record["@message"] for record in log]
    # It left by itself: the host didn't have to kill it.
    assert "left" in messages
    assert "plugin exited" in messages
    assert "plugin failed to exit gracefully" not in messages
    # Its records are the host's own, with their level and fields.
    [odd] = [record for record in log if record["@message"] == "odd"]
    assert ("warn", "3") == (odd["@level"], odd["count"])


async def test_what_it_prints_reaches_the_host(folder: Path) -> None:
    async with host(folder, "-hold") as process:
        assert process.stdout is not None
        told = {"plugin's stdout": "", "plugin's stderr": ""}
        async with asyncio.timeout(PATIENCE):
            while told != {"plugin's stdout": "imported\nasked\n", "plugin's stderr": "oh\n"}:
                line = (await process.stdout.readline()).decode()
                assert line, told
                source, _, text = line.partition(": ")
                if source in told:
                    told[source] += json.loads(text)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            assert 0 == await process.wait()


async def test_a_host_that_is_killed_leaves_nothing_behind(folder: Path) -> None:
    async with host(folder, "-hold") as process:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while b"summary" not in await process.stdout.readline():
                pass
        assert 2 == len(processes_in(folder))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await until(lambda: not processes_in(folder))


async def test_a_host_that_wants_the_brokers_multiplexing_is_told_that_it_is_not_offered(
    folder: Path,
) -> None:
    code, out, _ = await run(folder, "-multiplex")
    assert 1 == code
    assert "error: client requested gRPC broker multiplexing but plugin does not support" in out
    await until(lambda: not processes_in(folder))


async def test_why_it_can_not_start_is_in_the_hosts_log(folder: Path) -> None:
    (folder / "talks.py").write_text(TALKS.replace("import logging", "import no_such_module"))
    code, out, log = await run(folder)
    assert 1 == code
    assert "error: plugin exited before we could connect" in out or "Unrecognized" in out
    assert "ModuleNotFoundError: No module named 'no_such_module'" in [
        record["@message"] for record in log
    ]
