"""All that is decided upon: who shares what, who is resident, and who waits."""

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple


class Tenant(NamedTuple):
    """One worker: its unit and its generation."""

    unit: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What units share: the machine, or a group. Times are in seconds, memory in bytes."""

    name: str = ""
    """Of the group; empty: the machine."""
    exclusive: bool = False
    """Only one worker may be resident."""
    memory: int | None = None
    """What all that are resident may take together; None: no bound."""
    min_residency: float = 1.0
    """Nobody who is ready for less than this has to go."""
    max_wait: float = 30.0
    """Who waits for longer has a busy one drained."""

    def __str__(self) -> str:
        return f"group {self.name!r}" if self.name else "the machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What is known of a unit before it runs."""

    pools: tuple[str, ...] = ()
    memory: int | None = None
    """What it takes, as its table says; None: what it was last seen to take."""
    pinned: bool = False
    """It never has to go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Who shares what, as `hsu.toml` says."""

    pools: Mapping[str, Pool] = field(default_factory=dict)
    members: Mapping[str, Member] = field(default_factory=dict)
    """All units whose workers are launched, also those that share nothing."""
    needs: Mapping[str, Set[str]] = field(default_factory=dict)
    """All that a unit depends on, directly or not; only of those that do."""
    partners: Mapping[str, Set[str]] = field(init=False, repr=False, compare=False)
    """With whom one that others depend on has to be there: these, and what else they depend on."""
    _shares: Mapping[str, tuple[Pool, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Each decision asks for all that are resident.
        shares = {
            unit: tuple([self.pools[name] for name in member.pools])
            for unit, member in self.members.items()
        }
        object.__setattr__(self, "_shares", shares)
        partners: defaultdict[str, set[str]] = defaultdict(set)
        for unit, needs in self.needs.items():
            for each in needs:
                partners[each] |= needs | {unit}
        object.__setattr__(self, "partners", dict(partners))

    def pools_of(self, unit: str) -> tuple[Pool, ...]:
        """What a unit shares with others."""
        return self._shares.get(unit, ())

    def shares_nothing(self, unit: str) -> bool:
        """It is launched, and has no pools."""
        return self._shares.get(unit) == ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a unit says of one of its workers, when something is decided."""

    ready: bool = False
    """It takes calls."""
    leaving: bool = False
    """It is on its way out, for whatever reason."""
    busy: bool = False
    """It has calls, or its unit has some that wait."""
    needed: bool = False
    """Workers of other units need it."""
    last: float = 0.0
    """When it was last used."""
    replaces: Tenant | None = None
    """The one whose place it takes as soon as it is ready: the old one of a swap."""
    swap: bool = False
    """Somebody waits for it to take a place, whether or not the old one is still there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """One that was let in, until nothing is left of it."""

    alone: bool = False
    """Nobody else may start before it is ready: its start ran out of memory before."""
    ready: float | None = None
    """Since when it takes calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One that wants to start."""

    tenant: Tenant
    asked: float
    alone: bool = False
    """All others have to go first."""
    note: str = ""
    """What it waits for, as was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Who is resident and who waits, in the order in which they came."""

    rules: Rules = Rules()
    residents: Mapping[Tenant, Resident] = field(default_factory=dict)
    waiting: tuple[Waiting, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict)
    """What each unit was last seen to take, in bytes."""
    over: bool = False
    """More is taken than there is."""

    @property
    def restless(self) -> bool:
        """Whatever happens to a resident may change what is to be done."""
        return bool(self.waiting) or self.over

    def memory(self, unit: str) -> int:
        """What a unit takes, in bytes, as far as anybody knows."""
        member = self.rules.members.get(unit)
        if member is not None and member.memory is not None:
            return member.memory
        return self.weights.get(unit, 0)
