"""The Rust of docs/rust.md does what the page says."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from hsu_worker.conformance import Level, Outcome, check, command
from hsu_worker.master import Master
from tests.languages.rust.built import EXAMPLES, ROOT
from tests.page import blocks, commands

PAGE = blocks((ROOT / "docs" / "rust.md").read_text())
RUST = EXAMPLES / "rust"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of the page has been written and built; most is there, in the examples' own folder."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "target").symlink_to(RUST / "target")
    shutil.copy(RUST / "Cargo.lock", folder)
    for block in PAGE:
        if block.file:
            (folder / block.file).parent.mkdir(exist_ok=True)
            (folder / block.file).write_text(block.text)
    profile = tomllib.loads((RUST / "Cargo.toml").read_text())["profile"]["release"]
    same = {
        f"CARGO_PROFILE_RELEASE_{key.upper().replace('-', '_')}": json.dumps(value)
        for key, value in profile.items()
    }
    for block in PAGE:
        for line, _ in commands(block) if block.language == "console" else ():
            program, *arguments = line.replace("$HSU_WORKER", str(ROOT)).split()
            assert "cargo" == program
            ran = subprocess.run(
                [program, *arguments],
                cwd=folder,
                env=os.environ | same,
                capture_output=True,
                text=True,
                check=False,
            )
            assert 0 == ran.returncode, ran.stderr
    return folder


@pytest.mark.timeout(900)
async def test_its_worker_passes_the_kit_as_the_page_shows(folder: Path) -> None:
    report = await check(command(["./target/release/shouter"], cwd=folder))
    assert report.passes(Level.MAY), str(report)
    counted = [
        f"{level.name.lower()} {len(passed)} of {len(passed)}"
        for level in (Level.MUST, Level.SHOULD, Level.MAY)
        if (passed := [each for each in report.of(Outcome.PASSED) if each.check.level is level])
    ]
    skipped = len(report.of(Outcome.SKIPPED))
    assert f"passed: {', '.join(counted)}; {skipped} skipped; ... s\n" in _shown()


@pytest.mark.timeout(900)
async def test_its_worker_answers(folder: Path) -> None:
    [(call, answer)] = re.findall(r"^\$ hsu-worker (call \S+) '.*'\n(.*)$", _shown(), re.MULTILINE)
    async with Master.from_file(folder / "hsu.toml") as master:
        for text, code, said in (("hello", 0, answer), ("", 1, "text is empty")):
            called = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "hsu_worker", *call.split(), json.dumps({"text": text})),
                env=os.environ | {"HSU_MASTER": str(master.address)},
                stdout=PIPE,
                stderr=STDOUT,
            )
            output, _ = await called.communicate()
            assert code == called.returncode, output
            assert said in output.decode()


def _shown() -> str:
    [text] = [block.text for block in PAGE if "hsu-worker check" in block.text]
    return text
