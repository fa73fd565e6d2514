"""What the processes of units use."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hsu_worker.master.process_stat import cpu_seconds, shared_memory
from hsu_worker.master.unit_status import UnitStatus, Usage


async def with_usage(status: Mapping[str, UnitStatus]) -> Mapping[str, UnitStatus]:
    """The same, with what their processes use now."""
    # The kernel walks through all pages of a process: of a large one, that takes its time.
    return await asyncio.to_thread(_measured, status)


def _measured(status: Mapping[str, UnitStatus]) -> Mapping[str, UnitStatus]:
    return {
        name: replace(each, usage=_together([_usage(pid) for pid in each.pids]))
        for name, each in status.items()
    }


def _together(usages: Sequence[Usage | None]) -> Usage | None:
    known = [usage for usage in usages if usage is not None]
    if not known:
        return None
    return Usage(memory=sum(each.memory for each in known), cpu=sum(each.cpu for each in known))


def _usage(pid: int) -> Usage | None:
    memory, cpu = shared_memory(pid), cpu_seconds(pid)
    return None if memory is None or cpu is None else Usage(memory=memory, cpu=cpu)
