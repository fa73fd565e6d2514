"""The client in Node: it calls A through the gateway of a running master."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hsu_worker.gen.hsu_a import InterfaceA
from tests.languages.node.built import CLIENT, EXAMPLES, WORKER
from tests.worker.process import environment

HSU_TOML = f"""
[units.node]
command = {list(WORKER)}
implements = ["{InterfaceA.name}"]

[units.python]
app = "hsu_a_service1:App"
implements = ["{InterfaceA.name}"]
cwd = "{EXAMPLES}/hsu_a_service1"
pass_env = ["PYTHONPATH"]

[units.broken]
command = ["node", "-e", "process.exit(7)"]
implements = ["{InterfaceA.name}"]

[routes]
"{InterfaceA.name}" = "node"
"""

TEXT = "Millers make flour. Flour makes bread. It rains."


@dataclass
class RunningMaster:
    """A `hsu-worker master run`, and where it listens."""

    folder: Path
    address: str
    token_file: str

    async def client(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        """Run the program; returns its exit code, stdout and stderr."""
        return await run(self.folder, *arguments, **{"HSU_MASTER": self.address} | variables)


async def run(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *CLIENT,
        *arguments,
        cwd=folder,
        env={"PATH": os.environ["PATH"]} | variables,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


@asynccontextmanager
async def master(folder: Path) -> AsyncGenerator[RunningMaster, None]:
    (folder / "bread.txt").write_text(TEXT)
    (folder / "empty.txt").write_text("")
    (folder / "hsu.toml").write_text(HSU_TOML)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hsu_worker", "master", "run", "hsu.toml", "--json"),
        *("--listen", "tcp:127.0.0.1:0"),
        cwd=folder,
        env=environment(XDG_RUNTIME_DIR=str(folder / "run")),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        assert process.stdout is not None
        told = json.loads(await process.stdout.readline())
        yield RunningMaster(folder, told["addresses"][0], told["token_file"])
    finally:
        process.terminate()
        await process.communicate()


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("m")
    (folder / "run").mkdir(mode=0o700)
    return folder


async def test_it_summarises_through_whatever_unit_serves_the_interface(short: Path) -> None:
    async with master(short) as it:
        two = ("--sentences", "2", "bread.txt")
        expected = "Millers make flour. Flour makes bread.\n"
        assert (0, expected, "") == await it.client(*two)
        assert (0, expected, "") == await it.client("--unit", "python", *two)

        streamed = "1  Millers make flour.\n2  Flour makes bread.\n"
        assert (0, streamed, "") == await it.client("--stream", *two)

        # By its folder, and with the token in a file.
        folder = str(Path(it.token_file).parent)
        assert (0, expected, "") == await it.client("--address", folder, *two, HSU_MASTER="")
        named = ("--token-file", it.token_file)
        assert (0, expected, "") == await it.client(*named, *two)


async def test_it_says_of_a_failed_call_whether_it_reached_a_handler(short: Path) -> None:
    async with master(short) as it:
        code, out, errors = await it.client("empty.txt")
        assert (1, "") == (code, out)
        assert "error: INVALID_ARGUMENT: text: it is empty (dispatched: yes)\n" == errors

        code, out, errors = await it.client("--stream", "empty.txt")
        assert (1, "") == (code, out)
        assert "error: INVALID_ARGUMENT: text: it is empty (dispatched: yes)\n" == errors

        code, _, errors = await it.client("--unit", "python", "--wait", "0", "bread.txt")
        assert (1, "error: UNAVAILABLE: ") == (code, errors[:20])
        assert errors.endswith(" (dispatched: no, NOT_RUNNING)\n")

        code, _, errors = await it.client("--unit", "broken", "bread.txt")
        assert (1, "error: UNAVAILABLE: ") == (code, errors[:20])
        assert errors.endswith(" (dispatched: no, START_FAILED)\n")

        code, _, errors = await it.client("bread.txt", HSU_MASTER_TOKEN="wrong")
        assert (1, "error: UNAUTHENTICATED: ") == (code, errors[:24])
        assert errors.endswith(" (dispatched: no)\n")


async def test_without_a_master_it_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    code, out, errors = await run(tmp_path, "a.txt")
    assert (1, "") == (code, out)
    assert errors.startswith("error: no master is named: HSU_MASTER is not set")

    address = f"unix:{tmp_path}/none.sock"
    code, out, errors = await run(tmp_path, "--address", address, "a.txt")
    assert 1 == code
    assert errors.startswith("error: UNAVAILABLE: ")
    assert errors.endswith(" (dispatched: no)\n")
    assert "none.sock" in errors


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "error: name one file, or - for standard input"),
        (["--sentences", "x", "a.txt"], "error: --sentences x: not a number"),
        (["--sentences", "1.5", "a.txt"], "error: --sentences 1.5: not a whole number"),
        (["--nonsense", "a.txt"], "error: Unknown option '--nonsense'"),
    ],
)
async def test_a_wrong_command_line_is_explained(
    tmp_path: Path, arguments: list[str], problem: str
) -> None:
    code, out, errors = await run(tmp_path, *arguments)
    assert (2, "") == (code, out)
    assert problem in errors
    assert "usage: node dist/client/main.js" in errors
