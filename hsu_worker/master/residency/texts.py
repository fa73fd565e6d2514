"""What is told of evictions, waits and refusals."""

from collections.abc import Collection
from heapq import nsmallest
from typing import Final

from hsu_worker.master.residency.state import Pool, State, Tenant

#: So many units are named at the most.
SHOWN: Final = 5


def size(memory: int) -> str:
    """A number of bytes; one that was written in MiB is told so."""
    if memory % (1 << 20) == 0 and memory % 10**6:
        return f"{memory >> 20} MiB"
    return f"{memory / 10**6:.0f} MB"


def names(units: Collection[str]) -> str:
    """Units by name; not all of them, where they are many."""
    shown = [f"{each!r}" for each in nsmallest(SHOWN, units)]
    if len(units) > SHOWN:
        shown[-1] = f"{len(units) - SHOWN + 1} more"
    *first, last = shown
    return f"{', '.join(first)} and {last}" if first else last


def waits(pool: Pool, memory: int, taken: int, there: Collection[str], *, alone: bool) -> str:
    """What somebody waits for."""
    if pool.exclusive and there:
        return f"waits for unit {names(there)} of {pool}"
    if alone:
        return f"waits for memory: it ran out of it when {names(there)} had some of {pool}, too"
    assert pool.memory is not None
    verb = "takes" if len(there) == 1 else "take"
    of = f"{size(pool.memory)}" + (f" of {pool}" if pool.name else "")
    has = f"{names(there)} {verb} {size(taken)} of {of}"
    return f"waits for memory: it needs {size(memory)}, and {has}"


def evicted(pool: Pool, tenant: Tenant, memory: int, *, waited: float, alone: bool) -> str:
    """Why somebody has to go for another one."""
    if pool.exclusive:
        why = f"unit {tenant.unit!r} needs {pool}"
    elif alone:
        why = f"unit {tenant.unit!r} ran out of memory when it was started beside others"
    else:
        why = f"unit {tenant.unit!r} needs {size(memory)} of {pool}"
    return f"{why}, and has waited for {waited:.0f} s" if waited >= 1 else why


def too_much(pool: Pool, taken: int, there: Collection[str]) -> str:
    """Why somebody has to go for nobody's sake."""
    if pool.memory is None or taken <= pool.memory:
        return f"{names(there)} are there at once, and {pool} is exclusive"
    return f"{size(taken)} are taken of {pool}, which has {size(pool.memory)}"


def hopeless(state: State, pool: Pool, tenant: Tenant, stay: Collection[str], beside: int) -> str:
    """Why somebody can never start: units stay that have so much."""
    assert pool.memory is not None
    unit, where = tenant.unit, _table(pool)
    memory, most = state.memory(unit), f"more than the {size(pool.memory)} of {pool} hold"
    beside_them = f"{most} beside the {size(beside)} of {names(stay)}" if stay else most
    if state.rules.members[unit].memory is not None:
        why = f"needs {size(memory)}, and that is {beside_them}"
        cure = f"lower that of {names({unit, *stay})}"
    elif memory:
        why = f"took {size(memory)} when it last ran, and that is {beside_them}"
        cure = "write what it truly needs as `memory` in its table"
    else:
        why = f"has to have {names(stay)} beside it, and they take {size(beside)}, {most}"
        cure = "write what they truly need as `memory` in their tables"
    return f"unit {unit!r} {why}; raise `memory` in {where}, or {cure}"


def kept_out(pool: Pool, tenant: Tenant, memory: int, stay: Collection[str], beside: int) -> str:
    """Why a swap has no room: replicas stay that have so much, with what else does."""
    assert pool.memory is not None
    return (
        f"unit {tenant.unit!r} needs {size(memory)} for one more worker, and that is more than the "
        f"{size(pool.memory)} of {pool} hold beside the {size(beside)} of {names(stay)}; "
        f"raise `memory` in {_table(pool)}, or lower its `replicas`"
    )


def _table(pool: Pool) -> str:
    return f"[groups.{pool.name}]" if pool.name else "[master]"


def again(tenant: Tenant, others: Collection[str]) -> str:
    """Why a start is tried once more."""
    return f"unit {tenant.unit!r} ran out of memory; it is tried once more without {names(others)}"
