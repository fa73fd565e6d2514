"""Workers that don't fit into memory together: `python -m tests.master.crowded --calls 2000`.

Each of three units holds an array of 300 MB while it runs, of the 330 MB that its worker takes, and the machine
has a budget of 700: two fit. Callers call them in random order; the process table is looked at all the while.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hsu_worker.errors import RpcError
from hsu_worker.master import Config, Event, Master
from hsu_worker.master.process_stat import own_memory
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import processes_in
from tests.worker.process import ROOT

SERVICE = """
import os
from array import array
from hsu_worker import implements, lifespan
from tests.gen.hsu_test_kinds import Answer, Kinds

NUMBERS = array("d", range(1000))

@implements(Kinds)
class Model:
    @lifespan
    def loaded(self):
        # Written, not only reserved.
        self.table = NUMBERS * {count}
        yield
        del self.table

    async def unary(self, request):
        return Answer(number=int(self.table[request.number]))

    def client_stream(self, requests):
        return Answer(number=sum(1 for _ in requests))

    async def server_stream(self, request):
        yield Answer()

    async def bidi(self, requests):
        async for _ in requests:
            yield Answer()
"""

UNITS = ("a", "b", "c")
ARRAY = 300_000_000
FOOTPRINT = 330_000_000
BUDGET = 700_000_000
CALLERS = 16
MIN_RESIDENCY = 0.2
MAX_WAIT = 3.0

#: Seconds that an end, and the start that is let in after it, may take together.
TURN = 5.0

#: Seconds that a call may take: two others may have waited before its unit, and each has its turn.
LONGEST = MAX_WAIT + len(UNITS) * (TURN + MIN_RESIDENCY)


@dataclass
class Report:
    """What was seen."""

    calls: int = 0
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list)
    longest: float = 0.0
    """The longest call, in seconds."""
    peak: int = 0
    """The most memory of all workers at any look, in bytes."""
    looks: int = 0
    together: int = 0
    """The most workers at any look that had their arrays."""
    evictions: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    unexplained: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """No call was lost or late, no look showed too much memory, and `why` explains all evictions."""
        kept = self.longest <= LONGEST and self.peak <= BUDGET
        return kept and not (self.lost or self.unexplained)

    def __str__(self) -> str:
        evicted = ", ".join(f"{unit}: {count}" for unit, count in sorted(self.evictions.items()))
        return (
            f"{self.calls} calls in {self.seconds:.1f} s, {len(self.lost)} lost; longest "
            f"{self.longest:.2f} s of {LONGEST:.1f}; at most {self.peak / 1e6:.0f} MB of {BUDGET / 1e6:.0f}, and "
            f"{self.together} workers with their arrays, in {self.looks} looks; {self.starts} starts, "
            f"{self.evictions.total()} evictions ({evicted})"
        )


def config(folder: Path) -> Config:
    (folder / "model.py").write_text(SERVICE.format(count=ARRAY // 8000))
    tables = [
        f'[units.{name}]\napp = "model:Model"\nimplements = ["{Kinds.name}"]\n'
        f'env = {{PYTHONPATH = "{ROOT}"}}\nmemory = "{FOOTPRINT // 10**6}MB"\n'
        for name in UNITS
    ]
    machine = (
        f'[master]\nmemory = "{BUDGET // 10**6}MB"\nmin_residency = "{MIN_RESIDENCY:g}s"\n'
        f'max_wait = "{MAX_WAIT:g}s"\n'
    )
    routes = f'[routes]\n"{Kinds.name}" = "a"\n'
    return Config.from_text("\n".join([*tables, routes, machine]), folder=folder)


async def work(calls: int, seed: int) -> Report:
    """So many calls, in random order."""
    report, dice = Report(calls=calls), random.Random(seed)
    left = [dice.choice(UNITS) for _ in range(calls)]
    with tempfile.TemporaryDirectory(prefix="hsu-crowded-") as name:
        folder = Path(name)
        told: list[Event] = []
        async with Master(config(folder), on_event=told.append) as master:
            looking = asyncio.create_task(_look(folder, report))
            clients = {unit: master.client(Kinds, unit=unit) for unit in UNITS}

            async def call() -> None:
                while left:
                    unit, number = left.pop(), dice.randrange(1000)
                    began = time.monotonic()
                    try:
                        answer = await clients[unit].unary(Ask(number=number), timeout=60)
                        if answer.number != number:
                            report.lost.append(f"{unit}: {answer.number} is not {number}")
                    except RpcError as error:
                        report.lost.append(f"{unit}: {error}")
                    report.longest = max(report.longest, time.monotonic() - began)

            began = time.monotonic()
            await asyncio.gather(*(call() for _ in range(CALLERS)))
            report.seconds = time.monotonic() - began
            looking.cancel()
            kept = [event for unit in UNITS for event in master.why(unit)]
        report.unexplained += [
            event.detail for event in kept if event.trigger == "evicted" and not _explained(event)
        ]
        evicted = (event for event in told if event.trigger == "evicted")
        report.evictions.update(event.unit for event in evicted if event.kind == "stopping")
        report.starts = sum(event.kind == "starting" for event in told)
    return report


def _explained(event: Event) -> bool:
    """`why` tells who needed how much of what."""
    needs = (f"unit {unit!r} needs {FOOTPRINT // 10**6} MB of the machine" for unit in UNITS)
    return event.kind != "stopping" or event.detail.startswith(tuple(needs))


async def _look(folder: Path, report: Report) -> None:
    own = os.getpid()
    while True:
        # The master runs in this process, and the keeper and the templates hold no array.
        pids = [pid for pid in processes_in(folder) if pid != own]
        taken = [memory for pid in pids if (memory := own_memory(pid)) is not None]
        report.peak = max(report.peak, sum(taken))
        report.together = max(report.together, sum(each > ARRAY // 2 for each in taken))
        report.looks += 1
        await asyncio.sleep(0.01)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.master.crowded")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    report = asyncio.run(work(options.calls, options.seed))
    print(report)
    print(*report.lost[:10], *report.unexplained[:10], sep="\n")
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
