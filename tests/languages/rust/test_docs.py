"""The Rust of docs/rust.md is that of examples/rust/shouter, and does what the page says."""

import json
from pathlib import Path

import pytest

from hsu_worker.errors import InvalidArgument
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest
from hsu_worker.master import Master
from tests.languages.rust.built import EXAMPLES, ROOT, SHOUTER
from tests.page import blocks

PAGE = (ROOT / "docs" / "rust.md").read_text()


def test_its_files_are_those_of_the_example() -> None:
    shown = {block.file: block.text for block in blocks(PAGE) if block.file}
    hsu = shown.pop("hsu.toml")
    assert "target/release/shouter" in hsu
    assert {"Cargo.toml", "build.rs", "src/main.rs"} == set(shown)
    for file, text in shown.items():
        assert (EXAMPLES / "rust" / "shouter" / file).read_text() == text, file


async def test_its_worker_answers(tmp_path: Path) -> None:
    [hsu] = [block.text for block in blocks(PAGE) if block.file == "hsu.toml"]
    program = json.dumps(str(SHOUTER))
    (tmp_path / "hsu.toml").write_text(hsu.replace('"./target/release/shouter"', program))
    async with Master.from_file(tmp_path / "hsu.toml") as master:
        shouter = master.client(InterfaceA)
        reply = await shouter.summarize(SummarizeRequest(text="hello"), timeout=30)
        assert "HELLO!" == reply.summary
        with pytest.raises(InvalidArgument, match="text is empty"):
            await shouter.summarize(SummarizeRequest())
