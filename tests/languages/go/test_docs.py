"""The Go of docs/go.md does what the page says."""

import asyncio
import os
import re
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from hsu_worker import conformance
from hsu_worker.errors import InvalidArgument
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest
from hsu_worker.master import Master
from tests.languages.go.built import EXAMPLES, ROOT
from tests.page import blocks, commands

PAGES = ROOT / "docs"
MODULE = EXAMPLES / "go"


async def go(folder: Path, *arguments: str, **variables: str) -> str:
    """Run the toolchain; returns what it prints."""
    process = await asyncio.create_subprocess_exec(
        "go",
        *arguments,
        cwd=folder,
        env=os.environ | variables,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, errors = await process.communicate()
    assert 0 == process.returncode, errors.decode()
    return out.decode()


def write_page(folder: Path) -> list[str]:
    """Put the page's files into a folder; returns its commands."""
    found = blocks((PAGES / "go.md").read_text())
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
        assert "go" == program
        await go(tmp_path, *arguments)
    report = await conformance.check(conformance.command(["./bin/shouter"], cwd=tmp_path))
    assert report.passes(conformance.Level.SHOULD), str(report)
    async with Master.from_file(tmp_path / "hsu.toml") as master:
        shouter = master.client(InterfaceA)
        reply = await shouter.summarize(SummarizeRequest(text="hello"), timeout=30)
        assert "HELLO!" == reply.summary
        with pytest.raises(InvalidArgument, match="text is empty"):
            await shouter.summarize(SummarizeRequest())
        said = await go(tmp_path, "run", "./caller", HSU_MASTER=str(master.address))
        assert "HELLO!\n" == said


def test_the_host_of_the_plugin_page_is_the_examples() -> None:
    [shown] = [b.text for b in blocks((PAGES / "go-plugin.md").read_text()) if b.language == "go"]
    host = " ".join((MODULE / "plugin_host" / "main.go").read_text().split())
    fields = re.findall(r"^\t(\w+): +(.*?),", shown, re.MULTILINE)
    assert {"HandshakeConfig", "Plugins", "Cmd", "AllowedProtocols", "AutoMTLS"} == {
        name for name, _ in fields
    }
    for name, value in fields:
        if name not in ("Cmd", "AutoMTLS"):
            assert f"{name}: {value}" in host
