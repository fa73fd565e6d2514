"""What can't be in a budget of memory, by what the tables of `hsu.toml` declare."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from hsu_worker.master.residency.texts import size
from hsu_worker.master.tables import UnitConfig

Mistake: TypeAlias = tuple[tuple[str, ...], str]


def needed(unit: UnitConfig, units: Mapping[str, UnitConfig]) -> dict[str, UnitConfig]:
    """All that a unit depends on, by name; cycles have a mistake of their own."""
    found: dict[str, UnitConfig] = {}
    rest = [*unit.depends_on]
    while rest:
        name = rest.pop(0)
        if name in units and name not in found and name != unit.name:
            found[name] = units[name]
            rest += units[name].depends_on
    return found


class Budget:
    """Of the machine, or of a group.

    Args:
        where: Its table.

        most: What all may take together, in bytes.

        there: The names of those that share it.

        units: All units, by name.
    """

    def __init__(
        self,
        where: tuple[str, ...],
        most: int,
        there: Iterable[str],
        units: Mapping[str, UnitConfig],
    ) -> None:
        self._where = where
        self._most = most
        self._there = {name: units[name].memory or 0 for name in there}
        self._units = units
        # Nobody makes room who is pinned, and all its replicas are.
        self._pinned = {
            name: memory * units[name].replicas
            for name, memory in self._there.items()
            if units[name].pinned and memory
        }

    def mistakes(self) -> Iterator[Mistake]:
        """What can't be, where, and what to write instead."""
        held = sum(self._pinned.values())
        if held > self._most and max(self._pinned.values()) <= self._most:
            text = f"the pinned {self._named(self._pinned)} take {size(held)}, and it is {size(self._most)}"
            yield (*self._where, "memory"), f"{text}; raise it, or unpin one"
        for name in self._units:
            if mistake := self._of_unit(name, fits=held <= self._most):
                key, text = mistake
                yield ("units", name, key), text
        if held <= self._most:
            yield from self._of_preloaded()

    def _of_unit(self, name: str, *, fits: bool) -> tuple[str, str] | None:
        """Of one with all that has to be there beside it, if what is pinned fits."""
        most, header = self._most, f"[{'.'.join(self._where)}]"
        unit, memory = self._units[name], self._there.get(name, 0)
        if memory > most:
            return "memory", f"{size(memory)} are more than the {size(most)} of {header}"
        all_of_it = memory * unit.replicas
        if all_of_it > most:
            text = f"so many take {size(all_of_it)}, more than the {size(most)} of {header}"
            return "replicas", f"{text}; write fewer"
        if not fits:
            return None
        pinned = {each: taken for each, taken in self._pinned.items() if each != name}
        needs = {
            each: self._there[each]
            for each in needed(unit, self._units)
            if self._there.get(each) and each not in pinned
        }
        # A pinned one that it depends on is there in any case.
        beside = sum(pinned.values())
        if memory and memory + beside > most:
            others = f"beside the {size(beside)} of the pinned {self._named(pinned)}"
            return "memory", f"{size(memory)} don't fit into the {size(most)} of {header} {others}"
        stay = beside + sum(needs.values())
        others = listed(
            [*self._names(needs), *([f"the pinned {self._named(pinned)}"] if pinned else [])]
        )
        if needs and memory + stay > most:
            text = f"with {others} it takes {size(memory + stay)}, and {header} has {size(most)}"
            return "depends_on", text
        if unit.replicas > 1 and all_of_it + stay > most:
            left = f"beside {others} {header} has {size(most - stay)}"
            return "replicas", f"so many take {size(all_of_it)}, and {left}; write fewer"
        return None

    def _of_preloaded(self) -> Iterator[Mistake]:
        preloaded = [name for name in self._units if self._units[name].preload]
        needs = {each for name in preloaded for each in needed(self._units[name], self._units)}
        at_once = {name: self._there.get(name, 0) for name in (*preloaded, *needs)} | self._pinned
        if preloaded and (taken := sum(at_once.values())) > self._most:
            more = [name for name in self._there if name in needs - {*preloaded, *self._pinned}]
            beside = f", with {self._named(more)}," if more else ""
            text = f"what is preloaded or pinned{beside} takes {size(taken)}"
            yield (*self._where, "memory"), f"{text}, and it is {size(self._most)}; preload less"

    def _named(self, units: Iterable[str]) -> str:
        return listed(self._names(units))

    def _names(self, units: Iterable[str]) -> list[str]:
        many = [(name, self._units[name].replicas if name in self._pinned else 1) for name in units]
        return [f"{name!r}{f' ({count} workers)' * (count > 1)}" for name, count in many]


def listed(names: Sequence[str]) -> str:
    """Several in a sentence."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
