"""What units cost that nobody calls: the memory of their master, and of all that it starts beforehand."""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.masters import ROUTES, unit
from bench.measure import ROOT, Measure, Row, rounds
from bench.processes import below, memory
from tests.gen.hsu_test_kinds import Kinds
from tests.until import until

#: Seconds after which what follows the start of a master is done.
SETTLED: Final = 2.0


async def uncalled(full: bool) -> list[Row]:
    """What a master takes in a process of its own, with its keeper, template and spare; the control has one unit."""
    row = Row(name="units that nobody calls: PSS of the master and all below it", unit="MiB")
    series = {
        "control": _uncalled(1),
        "100 units": _uncalled(100),
        "1,000 units": _uncalled(1000),
    }
    await rounds([row], 9 if full else 2, series)
    return [row]


def _uncalled(count: int) -> Measure:
    async def measure() -> Sequence[float]:
        with tempfile.TemporaryDirectory(prefix="hsu-bench-") as folder:
            file = Path(folder) / "hsu.toml"
            file.write_text(
                "".join(unit(f"u{number}") for number in range(count))
                + ROUTES.format(Kinds.name, "u0")
            )
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "hsu_worker", "master", "run", "--quiet", str(file)),
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            assert await process.stdout.readline()
            # The keeper, what it forks from, and what is forked ahead; no worker.
            await until(lambda: len(below(process.pid)) == 3)
            await asyncio.sleep(SETTLED)
            shares, _ = memory([process.pid, *below(process.pid)])
            process.terminate()
            await process.wait()
        return [shares]

    return measure
