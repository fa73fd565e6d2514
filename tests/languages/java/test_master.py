"""The Java HSU as a unit of a master of ours."""

import os
import signal
from pathlib import Path

from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest
from hsu_worker.master import Config
from tests.languages.demo import shows_what_it_shows
from tests.languages.java.built import WORKER
from tests.master.running import Running

TEXT = SummarizeRequest(text="Millers make flour. Flour makes bread. It rains.", sentences=2)


async def test_stopped_or_killed_it_is_replaced_by_the_next_call(tmp_path: Path) -> None:
    lines = (
        "[units.u]",
        f"command = {list(WORKER)}",
        f'implements = ["{InterfaceA.name}"]',
        'idle = "50ms"',
    )
    it = Running(Config.from_text("\n".join(lines), folder=tmp_path))
    async with it.master:
        a = it.master.client(InterfaceA)
        reply = await a.summarize(TEXT, timeout=30)
        assert "Millers make flour. Flour makes bread." == reply.summary
        await it.event("stopped")
        async for _ in (chunks := a.stream_summary(TEXT, timeout=30)):
            pid = it.master.status()["u"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            break
        await chunks.aclose()
        await it.event("exited")
        assert 2 == len([chunk async for chunk in a.stream_summary(TEXT, timeout=30)])


def test_the_demo_runs_with_it(tmp_path: Path) -> None:
    shows_what_it_shows(tmp_path, {"summarizer": WORKER})
