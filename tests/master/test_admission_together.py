"""Sharing where it meets what else a unit can be, with true processes."""

import asyncio
from pathlib import Path

from hsu_worker.master.policy import Phase
from tests.master.running import app
from tests.master.test_admission import sharing, toml

#: Its array is a hundred megabytes. A call with a number waits for a file.
HEAVY = """
@lifespan
def loaded(self):
    self.table = b"x" * 100_000_000
    yield
async def unary(self, request):
    Path(f"held-{request.number}").touch()
    while request.number and not Path(f"go-{request.number}").exists():
        await asyncio.sleep(0.01)
    return Answer(text=os.environ["HSU_NAME"])
"""


def machine(folder: Path, memory: str, **units: str) -> str:
    bounds = f'[master]\nmemory = "{memory}"\nmin_residency = "0s"\nmax_wait = "1ms"\n'
    return toml(app(folder, HEAVY), bounds, **units)


async def test_a_replica_that_does_not_fit_waits_while_the_other_one_serves(tmp_path: Path) -> None:
    text = machine(tmp_path, "220MB", a="concurrency = 1\nreplicas = 2")
    async with sharing(tmp_path, text) as it:
        # What it takes is known from now on.
        await it.ask("a")
        calls = [asyncio.create_task(it.ask("a", number)) for number in (1, 2)]
        waits = await it.event("progress")
        assert waits.detail.startswith("waits for memory: it needs 1")
        status = it.master.status()["a"]
        assert [Phase.READY, Phase.STARTING] == [each.phase for each in status.replicas]
        assert status.replicas[1].detail == waits.detail
        for number in (1, 2):
            (tmp_path / f"go-{number}").touch()
        assert ["a", "a"] == await asyncio.gather(*calls)
        assert [] == [event for event in it.told if event.kind == "stopping"]
