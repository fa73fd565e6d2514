"""The main process in Go: it calls A and B through the gateway of a running master."""

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
from hsu_worker.gen.hsu_b import InterfaceB
from tests.examples.conftest import EXAMPLES
from tests.languages.go.built import MAIN, WORKER
from tests.worker.process import environment

HSU_TOML = f"""
[units.index]
app = "hsu_b_service1:App"
implements = ["{InterfaceB.name}"]
cwd = "{EXAMPLES}/hsu_b_service1"
pass_env = ["HSU_B_INDEX", "PYTHONPATH"]

[units.summarizer]
command = ["{WORKER}"]
implements = ["{InterfaceA.name}"]
"""


@dataclass
class RunningMaster:
    """A `hsu-worker master run`, and where it listens."""

    folder: Path
    address: str
    token_file: str

    async def main(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        """Run the program; returns its exit code, stdout and stderr."""
        return await run(self.folder, *arguments, **{"HSU_MASTER": self.address} | variables)


async def run(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        MAIN, *arguments, cwd=folder, env=variables, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


@asynccontextmanager
async def master(folder: Path) -> AsyncGenerator[RunningMaster, None]:
    notes = folder / "notes"
    notes.mkdir()
    (notes / "bread.md").write_text("# Bread\n\nBakers make dough of flour. Dough rises.\n")
    (notes / "mill.md").write_text("# Mill\n\nMillers make flour of wheat. Wheat is ground.\n")
    (notes / "sea.txt").write_text("Nobody bakes at sea.\n")
    (folder / "hsu.toml").write_text(HSU_TOML)
    runtime = folder / "run"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hsu_worker", "master", "run", "hsu.toml", "--json"),
        *("--listen", "tcp:127.0.0.1:0"),
        cwd=folder,
        env=environment(HSU_B_INDEX=str(folder / "index.sqlite3"), XDG_RUNTIME_DIR=str(runtime)),
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
    return tmp_path_factory.mktemp("m")


async def test_it_indexes_searches_and_summarises(short: Path) -> None:
    os.makedirs(short / "run", mode=0o700)
    async with master(short) as it:
        arguments = ("-query", "flour", "-sentences", "2", "notes")
        code, out, errors = await it.main(*arguments)
        assert (0, "") == (code, errors), out
        assert "3 documents in notes\nindexed: 3 added, 0 replaced, 0 unchanged\n" in out
        assert "bread.md" in out
        assert "Mill: " in out
        assert "sea.txt" not in out
        [summary] = [part for part in out.split("\n\n") if part.startswith("summary of ")]
        assert ["  1  ", "  2  "] == [line[:5] for line in summary.splitlines()[1:]]

        code, out, errors = await it.main(*arguments)
        assert (0, "") == (code, errors)
        assert "all of them are indexed" in out

        # By TCP, with the token in a file.
        tcp = it.main("-token-file", it.token_file, "-query", "nothing-like-it", "notes")
        code, out, errors = await tcp
        assert (0, "") == (code, errors)
        assert "no document has any of these words" in out

        code, out, errors = await it.main(*arguments, HSU_MASTER_TOKEN="wrong")
        assert (1, "error: Unauthenticated: ") == (code, errors[:24])


async def test_without_a_master_it_says_what_is_missing(tmp_path: Path) -> None:
    code, out, errors = await run(tmp_path, "-query", "x", str(tmp_path))
    assert (1, "") == (code, out)
    assert "error: no master is named: HSU_MASTER is not set" in errors

    (tmp_path / "a.txt").write_text("A text.")
    address = f"unix:{tmp_path}/none.sock"
    code, out, errors = await run(tmp_path, "-address", address, "-query", "x", str(tmp_path))
    assert 1 == code
    assert errors.startswith("error: Unavailable: ")
    assert "none.sock" in errors


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "name one folder, after the flags"),
        (["notes"], "-query is missing: say what to look for"),
        (["-hits", "x", "notes"], 'invalid value "x" for flag -hits'),
    ],
)
async def test_a_wrong_command_line_is_explained(
    tmp_path: Path, arguments: list[str], problem: str
) -> None:
    code, out, errors = await run(tmp_path, *arguments)
    assert (2, "") == (code, out)
    assert problem in errors
    assert "index, search and summarise" in errors
