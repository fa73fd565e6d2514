"""What units share by the tables of `hsu.toml`, and what of it can't be."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from hsu_worker.master.budgets import Budget, Mistake, listed, needed
from hsu_worker.master.group_table import GroupConfig
from hsu_worker.master.master_table import MasterConfig
from hsu_worker.master.residency import Member, Pool, Rules
from hsu_worker.master.tables import UnitConfig

#: What `Pool.name` is for the machine.
_MACHINE = ""


def rules(
    units: Mapping[str, UnitConfig], groups: Mapping[str, GroupConfig], master: MasterConfig
) -> Rules:
    """Who shares what."""
    pools = {name: _pool(name, group) for name, group in groups.items()}
    if master.memory is not None:
        pools[_MACHINE] = _pool(_MACHINE, master)
    machine = (_MACHINE,) if master.memory is not None else ()
    members = {
        name: Member(pools=(*unit.groups, *machine), memory=unit.memory, pinned=unit.pinned)
        for name, unit in units.items()
        if unit.kind in ("app", "command")
    }
    needs = {name: frozenset(needed(units[name], units)) for name in members}
    return Rules(
        pools=pools, members=members, needs={name: each for name, each in needs.items() if each}
    )


def _pool(name: str, table: GroupConfig | MasterConfig) -> Pool:
    return Pool(
        name=name,
        exclusive=isinstance(table, GroupConfig) and table.exclusive,
        memory=table.memory,
        min_residency=table.min_residency,
        max_wait=table.max_wait,
    )


def mistakes(
    units: Mapping[str, UnitConfig], groups: Mapping[str, GroupConfig], master: MasterConfig
) -> Iterator[Mistake]:
    """What can't be, where, and what to write instead."""
    known = True
    for name, unit in units.items():
        for asked in unit.groups:
            if asked not in groups:
                known = False
                near = get_close_matches(asked, groups, n=1)
                cure = f"did you mean {near[0]!r}?" if near else f"write a table [groups.{asked}]"
                yield ("units", name, "groups"), f"there is no group {asked!r}; {cure}"
    if not known:
        return
    for name, group in groups.items():
        there = [unit.name for unit in units.values() if name in unit.groups]
        where = ("groups", name)
        if not (group.exclusive or group.memory):
            yield where, 'it bounds nothing; write exclusive = true, or memory = "8GB"'
        if not there:
            yield where, f'no unit is in it; write groups = ["{name}"] in the table of one'
        yield from _of_pool(where, group, there, units)
        if group.exclusive:
            yield from _exclusive(where, there, units)
    launched = [unit.name for unit in units.values() if _is_launched(unit)]
    yield from _of_pool(("master",), master, launched, units)


def _is_launched(unit: UnitConfig) -> bool:
    return unit.kind in ("app", "command")


def _exclusive(
    where: tuple[str, ...], there: Sequence[str], units: Mapping[str, UnitConfig]
) -> Iterator[Mistake]:
    group = where[-1]
    for unit in units.values():
        needs = [repr(name) for name, each in needed(unit, units).items() if group in each.groups]
        itself = group in unit.groups
        if len(needs) + itself > 1:
            verb, too = "is" if len(needs) == 1 else "are", ", too" * itself
            text = f"{listed(needs)} {verb} in the exclusive group {group!r}{too}"
            yield ("units", unit.name, "depends_on"), f"{text}; they can't be there at once"
    for unit in map(units.__getitem__, there):
        own = ("units", unit.name)
        if unit.pinned and len(there) > 1:
            yield (
                (*own, "pinned"),
                f"no other unit of the exclusive group {group!r} could ever run; remove it",
            )
        if unit.replicas > 1:
            text = f"the exclusive group {group!r} has room for one worker; remove it"
            yield (*own, "replicas"), text
        if unit.prewarm:
            yield (
                (*own, "prewarm"),
                f"what stands by would be there beside a worker of the exclusive group {group!r}; remove it",
            )
    preloaded = [repr(name) for name in there if units[name].preload]
    if len(preloaded) > 1:
        yield where, f"{listed(preloaded)} have preload = true, and it has room for one; keep one"


def _of_pool(
    where: tuple[str, ...],
    table: GroupConfig | MasterConfig,
    there: Sequence[str],
    units: Mapping[str, UnitConfig],
) -> Iterator[Mistake]:
    if table.min_residency > table.max_wait:
        text = (
            f"longer than max_wait, which is {table.max_wait:g} s; nobody could be let in by then"
        )
        yield (*where, "min_residency"), text
    if table.memory is not None:
        yield from Budget(where, table.memory, there, units).mistakes()
