"""What processes take, as the kernel counts it."""

import resource
from collections.abc import Iterable
from pathlib import Path

from bench.masters import launchers
from hsu_worker.master import Master
from hsu_worker.master.keeper.processes import live_processes
from hsu_worker.master.process_stat import cpu_seconds
from tests.until import until


def memory(pids: Iterable[int]) -> tuple[float, float]:
    """MiB that these processes take: their share of what is shared (PSS), and what is their own."""
    shares = private = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                name, _, rest = line.partition(":")
                if name == "Pss":
                    shares += int(rest.split()[0])
                elif name in ("Private_Clean", "Private_Dirty"):
                    private += int(rest.split()[0])
    return shares / 1024, private / 1024


def resident() -> int:
    """Bytes of this process that are in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def cpu(pids: Iterable[int]) -> float:
    """Seconds that these processes have used."""
    return sum(cpu_seconds(pid) or 0.0 for pid in pids)


def below(pid: int) -> list[int]:
    """The pids of the processes that one has started, and of those that these have."""
    children: dict[int, list[int]] = {}
    for line in live_processes():
        children.setdefault(line.parent, []).append(line.pid)
    found = [pid]
    for each in found:
        found += children.get(each, ())
    return found[1:]


def keeper(it: Master) -> tuple[int, list[int]]:
    """The pid of a master's keeper, and those of its templates and their spares."""
    link = launchers(it).keeper._link
    assert link is not None
    own = link._popen.pid
    workers = {status.pid for status in it.status().values()}
    return own, [
        line.pid for line in live_processes() if line.parent == own and line.pid not in workers
    ]


async def spare(it: Master, app: str = "") -> None:
    """Wait until what comes next of an app that is preimported, or of any other, is forked ahead of it."""
    argv = f"\0-m\0hsu_worker.worker.spare\0{app}\0".encode()
    await until(
        lambda: any(argv in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in keeper(it)[1])
    )
