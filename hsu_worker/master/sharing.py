"""What units share by the tables of `hsu.toml`, and what of it can't be."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeAlias

from hsu_worker.master.group_table import GroupConfig
from hsu_worker.master.master_table import MasterConfig
from hsu_worker.master.residency import Member, Pool, Rules
from hsu_worker.master.residency.texts import size
from hsu_worker.master.tables import UnitConfig

Mistake: TypeAlias = tuple[tuple[str, ...], str]

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
    needs = {name: frozenset(_needed(units[name], units)) for name in members}
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
        there = [unit for unit in units.values() if name in unit.groups]
        where = ("groups", name)
        if not (group.exclusive or group.memory):
            yield where, 'it bounds nothing; write exclusive = true, or memory = "8GB"'
        if not there:
            yield where, f'no unit is in it; write groups = ["{name}"] in the table of one'
        yield from _of_pool(where, group, there, units)
        if group.exclusive:
            yield from _exclusive(where, there, units)
    launched = [each for each in units.values() if _is_launched(each)]
    yield from _of_pool(("master",), master, launched, units)


def _is_launched(unit: UnitConfig) -> bool:
    return unit.kind in ("app", "command")


def _needed(unit: UnitConfig, units: Mapping[str, UnitConfig]) -> dict[str, UnitConfig]:
    """All that a unit depends on, by name; cycles have a mistake of their own."""
    found: dict[str, UnitConfig] = {}
    rest = [*unit.depends_on]
    while rest:
        name = rest.pop()
        if name in units and name not in found:
            found[name] = units[name]
            rest += units[name].depends_on
    return found


def _exclusive(
    where: tuple[str, ...], there: Sequence[UnitConfig], units: Mapping[str, UnitConfig]
) -> Iterator[Mistake]:
    group = where[-1]
    for unit in there:
        for name, needed in _needed(unit, units).items():
            if group in needed.groups and name != unit.name:
                text = f"{name!r} is in the exclusive group {group!r}, too; they can't be there at once"
                yield ("units", unit.name, "depends_on"), text
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
    preloaded = [repr(unit.name) for unit in there if unit.preload]
    if len(preloaded) > 1:
        yield where, f"{_listed(preloaded)} have preload = true, and it has room for one; keep one"


def _of_pool(
    where: tuple[str, ...],
    table: GroupConfig | MasterConfig,
    there: Sequence[UnitConfig],
    units: Mapping[str, UnitConfig],
) -> Iterator[Mistake]:
    if table.min_residency > table.max_wait:
        text = (
            f"longer than max_wait, which is {table.max_wait:g} s; nobody could be let in by then"
        )
        yield (*where, "min_residency"), text
    if table.memory is None:
        return
    most, header = size(table.memory), f"[{'.'.join(where)}]"
    pinned = [unit for unit in there if unit.pinned and unit.memory]
    held = sum(unit.memory or 0 for unit in pinned)
    names = _listed([repr(unit.name) for unit in pinned])
    if held > table.memory:
        text = f"the pinned {names} take {size(held)}, and it is {most}; raise it, or unpin one"
        yield (*where, "memory"), text
    for unit in there:
        memory = unit.memory or 0
        if memory > table.memory:
            text = f"{size(memory)} are more than the {most} of {header}"
            yield ("units", unit.name, "memory"), text
        elif not unit.pinned and held <= table.memory < memory + held:
            beside = f"beside the {size(held)} of the pinned {names}"
            text = f"{size(memory)} don't fit into the {most} of {header} {beside}"
            yield ("units", unit.name, "memory"), text
        elif memory * unit.replicas > table.memory:
            text = f"so many take {size(memory * unit.replicas)}, more than the {most} of {header}; write fewer"
            yield ("units", unit.name, "replicas"), text
        needed = [each for each in _needed(unit, units).values() if each in there]
        together = memory + sum(each.memory or 0 for each in needed)
        if memory <= table.memory < together:
            what = _listed([repr(each.name) for each in needed])
            text = f"with {what} it takes {size(together)}, and {header} has {most}"
            yield ("units", unit.name, "depends_on"), text
    at_once = sum(unit.memory or 0 for unit in there if unit.preload or unit.pinned)
    if any(unit.preload for unit in there) and held <= table.memory < at_once:
        text = f"what is preloaded or pinned takes {size(at_once)}, and it is {most}; preload less"
        yield (*where, "memory"), text


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
