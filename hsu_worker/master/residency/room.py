"""Who has how much of what."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import TypeAlias

from hsu_worker.master.residency.state import Pool, State, Tenant, Use

#: In the order in which they go: who is idle, and of those who was not used for the longest time.
Rank: TypeAlias = tuple[bool, bool, float, Tenant]


@dataclass(slots=True)
class Claim:
    """What one worker takes, or would take. Nobody changes it; to be frozen would cost as much as the rest."""

    tenant: Tenant
    memory: int
    pools: tuple[Pool, ...]
    pinned: bool = False
    alone: bool = False
    use: Use | None = None
    """None: it is not resident yet."""
    ready: float | None = None
    """Since when it takes calls."""
    replaces: Tenant | None = None
    """The one whose place it takes."""
    needs: Set[str] = frozenset()
    """The units that it depends on."""
    partners: Set[str] = frozenset()
    """The units that have to be there with it, where others depend on it."""

    def spares(self, other: "Claim") -> bool:
        """It never has another one sent away that is pinned, that it depends on, or that is its replica.

        Replicas would put each other out for ever.
        """
        unit = other.tenant.unit
        if other.pinned or unit in self.needs or unit == self.tenant.unit:
            return True
        # Where all others have to go, not who may wait for this very start: it could not.
        used = other.use is not None and not (other.idle or other.use.leaving)
        return self.alone and used and unit in self.partners

    @property
    def idle(self) -> bool:
        return (
            self.use is not None and self.use.ready and not self.use.busy and self.ready is not None
        )


class Share:
    """What is taken of one pool, and by whom."""

    def __init__(self) -> None:
        self.taken = 0
        self.alone = 0
        """How many want to be the only ones."""
        self.claims: dict[Tenant, Claim] = {}
        self.pinned: dict[Tenant, Claim] = {}
        self.units: dict[str, int] = {}
        """How many each unit has."""
        self._ranks: list[Rank] | None = None
        """Kept in order from the first time on that somebody asks for it."""

    def add(self, claim: Claim) -> None:
        self.claims[claim.tenant] = claim
        self.taken += claim.memory
        self.alone += claim.alone
        unit = claim.tenant.unit
        self.units[unit] = self.units.get(unit, 0) + 1
        if claim.pinned:
            self.pinned[claim.tenant] = claim
        if self._ranks is not None and (rank := _rank(claim)) is not None:
            insort(self._ranks, rank)

    def remove(self, claim: Claim) -> None:
        del self.claims[claim.tenant]
        self.taken -= claim.memory
        self.alone -= claim.alone
        unit = claim.tenant.unit
        self.units[unit] -= 1
        if not self.units[unit]:
            del self.units[unit]
        if claim.pinned:
            del self.pinned[claim.tenant]
        if self._ranks is not None and (rank := _rank(claim)) is not None:
            del self._ranks[bisect_left(self._ranks, rank)]

    def ranked(self) -> Iterator[Claim]:
        """Those that are resident, who goes first before the others; one may be removed when it is met."""
        if self._ranks is None:
            self._ranks = sorted(filter(None, map(_rank, self.claims.values())))
        place = 0
        while place < len(self._ranks):
            rank = self._ranks[place]
            yield self.claims[rank[-1]]
            place += place < len(self._ranks) and self._ranks[place] is rank


def _rank(claim: Claim) -> Rank | None:
    if claim.use is None:
        return None
    return claim.ready is None, not claim.idle, claim.use.last, claim.tenant


_NOBODY = Share()


class Room:
    """What is taken of each pool. What is tried out in it can be taken back."""

    def __init__(self) -> None:
        self._shares: dict[str, Share] = {}
        self._done: list[tuple[bool, Claim]] = []

    def add(self, claim: Claim) -> None:
        self._done.append((True, claim))
        for pool in claim.pools:
            if (share := self._shares.get(pool.name)) is None:
                share = self._shares[pool.name] = Share()
            share.add(claim)

    def remove(self, claim: Claim) -> None:
        self._done.append((False, claim))
        for pool in claim.pools:
            self._shares[pool.name].remove(claim)

    def settle(self) -> None:
        """What was done up to now, stays."""
        self._done.clear()

    def undo(self) -> None:
        """Take back what was done since it was settled."""
        for added, claim in reversed(tuple(self._done)):
            (self.remove if added else self.add)(claim)
        self._done.clear()

    def share(self, pool: Pool) -> Share:
        """What is taken of one; for reading."""
        return self._shares.get(pool.name, _NOBODY)

    def lacks(self, claim: Claim) -> tuple[Pool, ...]:
        """The pools that have no room for it."""
        return tuple([pool for pool in claim.pools if not self._fits(claim, pool)])

    def _fits(self, claim: Claim, pool: Pool) -> bool:
        share = self.share(pool)
        if pool.exclusive and share.claims:
            return False
        if pool.memory is None:
            return True
        if claim.alone and not all(map(claim.spares, share.claims.values())):
            return False
        if share.alone:
            return False
        return share.taken + claim.memory <= pool.memory

    def is_over(self, pool: Pool) -> bool:
        """More of it is taken than there is."""
        share = self.share(pool)
        if pool.exclusive and len(share.claims) > 1:
            return True
        return pool.memory is not None and share.taken > pool.memory


def claim_of(
    state: State,
    tenant: Tenant,
    *,
    alone: bool = False,
    use: Use | None = None,
    ready: float | None = None,
    replaces: Tenant | None = None,
) -> Claim:
    """What a worker takes by the rules of the moment."""
    unit = tenant.unit
    member = state.rules.members.get(unit)
    pinned = member is not None and member.pinned
    pools = state.rules.pools_of(unit)
    needs = state.rules.needs.get(unit, frozenset())
    partners = state.rules.partners.get(unit, frozenset())
    return Claim(
        tenant, state.memory(unit), pools, pinned, alone, use, ready, replaces, needs, partners
    )
