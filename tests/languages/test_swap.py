"""The command `hsu-worker swap` exchanges a unit's language, and no call is lost."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from functools import partial
from pathlib import Path

import pytest

from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest
from hsu_worker.master import Config
from tests.languages.go.built import EXAMPLES, ROOT
from tests.languages.go.built import WORKER as GO
from tests.languages.rust.built import WORKER as RUST
from tests.master.running import Running
from tests.until import until

TEXT = SummarizeRequest(text="Millers make flour. Flour makes bread. It rains.", sentences=2)
PYTHON = ("--app", "hsu_a_service1:App")


async def swap(it: Running, *arguments: str) -> None:
    """Type the command, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hsu_worker", "swap", "u"),
        *("--master", str(it.master.address), *arguments),
        stdout=PIPE,
        stderr=PIPE,
    )
    out, errors = await process.communicate()
    assert 0 == process.returncode, out.decode() + errors.decode()


def program(it: Running) -> Path:
    """What the process runs that calls go to."""
    return Path(os.readlink(f"/proc/{it.master.status()['u'].pid}/exe"))


@pytest.mark.timeout(120)
async def test_typed_swaps_between_python_go_and_rust_lose_no_call(tmp_path: Path) -> None:
    python_path = f"{ROOT}:{EXAMPLES / 'hsu_a_service1'}"
    index = tmp_path / "index.sqlite3"
    lines = (
        "[units.u]",
        'app = "hsu_a_service1:App"',
        f'implements = ["{InterfaceA.name}"]',
        f'env = {{ PYTHONPATH = "{python_path}", HSU_B_INDEX = "{index}" }}',
    )
    it = Running(Config.from_text("\n".join(lines), folder=tmp_path))
    async with it.master:
        a = it.master.client(InterfaceA)
        answered: list[str] = []
        done = asyncio.Event()

        async def caller() -> None:
            while not done.is_set():
                answered.append((await a.summarize(TEXT, timeout=30)).summary)

        def more_than(count: int) -> bool:
            return len(answered) > count

        await a.summarize(TEXT, timeout=30)
        python = program(it)
        programs = []
        async with asyncio.TaskGroup() as callers:
            for _ in range(8):
                callers.create_task(caller())
            for other in (("--", str(GO)), ("--", str(RUST)), PYTHON):
                await until(partial(more_than, len(answered) + 20))
                await swap(it, *other)
                programs.append(program(it))
            await until(partial(more_than, len(answered) + 20))
            done.set()
        assert [GO, RUST, python] == programs
        assert {"Millers make flour. Flour makes bread."} == set(answered)
        assert [] == [event for event in it.told if event.kind in ("exited", "failed")]
