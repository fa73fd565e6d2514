"""The TypeScript of docs/node.md does what the page says."""

import asyncio
import os
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from hsu_worker import conformance
from hsu_worker.errors import InvalidArgument
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest
from hsu_worker.master import Master
from tests.languages.node.built import ROOT
from tests.page import blocks, commands


async def run(folder: Path, *command: str, **variables: str) -> str:
    """Run a program; returns what it prints."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=os.environ | variables, stdout=PIPE, stderr=PIPE
    )
    out, errors = await process.communicate()
    assert 0 == process.returncode, out.decode() + errors.decode()
    return out.decode()


def write_page(folder: Path) -> list[str]:
    """Put the page's files into a folder; returns its commands."""
    found = blocks((ROOT / "docs" / "node.md").read_text())
    for block in found:
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
    return [
        command for block in found if block.language == "console" for command, _ in commands(block)
    ]


@pytest.mark.timeout(300)
async def test_its_worker_and_its_caller_work(tmp_path: Path) -> None:
    for command in write_page(tmp_path):
        program, *arguments = command.replace("$HSU_WORKER", str(ROOT)).split()
        assert program in ("npm", "npx")
        await run(tmp_path, program, *arguments)
    report = await conformance.check(conformance.command(["node", "dist/shouter.js"], cwd=tmp_path))
    assert report.passes(conformance.Level.SHOULD), str(report)
    async with Master.from_file(tmp_path / "hsu.toml") as master:
        shouter = master.client(InterfaceA)
        reply = await shouter.summarize(SummarizeRequest(text="hello"), timeout=30)
        assert "HELLO!" == reply.summary
        with pytest.raises(InvalidArgument, match="text is empty"):
            await shouter.summarize(SummarizeRequest())
        said = await run(tmp_path, "node", "dist/caller.js", HSU_MASTER=str(master.address))
        # As the page shows it; there is no reason at the line's end.
        assert "HELLO!\nhello\nworld\nINVALID_ARGUMENT text is empty yes\n" == (
            said.replace(" \n", "\n")
        )
