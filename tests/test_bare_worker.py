"""The worker written from docs/launch-contract.md alone, under our master.

That it does what the page asks for is shown by tests/conformance/test_workers.py.
"""

import ast
import logging
import sys
from pathlib import Path

import pytest

from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest
from hsu_worker.master import Master
from tests.conformance.stubs import ROOT, compiled

BARE_WORKER = ROOT / "tests" / "bare_worker.py"

#: Longest wait for something that takes a fraction of a second.
PATIENCE = 20


def test_it_imports_nothing_of_ours() -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(BARE_WORKER.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert [] == [name for name in imported if name.startswith("hsu_worker")]
    assert {"grpc.aio", "hsu_core_pb2", "hsu_a_pb2"} <= imported


async def test_our_master_starts_calls_replaces_and_stops_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "hsu.toml").write_text(
        f"""
        [units.bare]
        command = ["{sys.executable}", "{BARE_WORKER}"]
        implements = ["{InterfaceA.name}"]
        env = {{ PYTHONPATH = "{compiled(tmp_path / "stubs")}" }}
        """
    )
    request = SummarizeRequest(text="One. Two. Three.", sentences=2)
    async with Master.from_file(tmp_path / "hsu.toml") as master:
        summarizer = master.client(InterfaceA)
        assert "One. Two." == (await summarizer.summarize(request, timeout=PATIENCE)).summary
        chunks = summarizer.stream_summary(request, timeout=PATIENCE)
        assert ["One.", "Two."] == [chunk.text async for chunk in chunks]
        assert 2 == await master.swap("bare")
        assert "One. Two." == (await summarizer.summarize(request, timeout=PATIENCE)).summary
        await master.stop("bare")
        assert "absent" == master.status()["bare"].phase
        assert "One. Two." == (await summarizer.summarize(request, timeout=PATIENCE)).summary
        kinds = [event.kind for event in master.why("bare")]
    # It left when it was asked to, each time, and the master found nothing to complain of.
    assert kinds.count("stopped") == 2
    assert [] == [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
