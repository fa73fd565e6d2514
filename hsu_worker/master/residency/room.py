"""Who has how much of what, for the time of one decision."""

from dataclasses import dataclass

from hsu_worker.master.residency.state import Pool, State, Tenant, Use


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

    @property
    def idle(self) -> bool:
        return (
            self.use is not None and self.use.ready and not self.use.busy and self.ready is not None
        )


class Room:
    """What is taken of each pool, and by whom."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.there: dict[str, dict[Tenant, Claim]] = {}
        self._alone: dict[str, int] = {}

    def add(self, claim: Claim) -> None:
        for pool in claim.pools:
            name = pool.name
            there = self.there.get(name)
            if there is None:
                there = self.there[name] = {}
                self.taken[name] = self._alone[name] = 0
            there[claim.tenant] = claim
            self.taken[name] += claim.memory
            self._alone[name] += claim.alone

    def remove(self, claim: Claim) -> None:
        for pool in claim.pools:
            del self.there[pool.name][claim.tenant]
            self.taken[pool.name] -= claim.memory
            self._alone[pool.name] -= claim.alone

    def others(self, pool: Pool) -> dict[Tenant, Claim]:
        """Who has a part of it."""
        return self.there.get(pool.name, {})

    def lacks(self, claim: Claim) -> tuple[Pool, ...]:
        """The pools that have no room for it."""
        return tuple([pool for pool in claim.pools if not self._fits(claim, pool)])

    def _fits(self, claim: Claim, pool: Pool) -> bool:
        others = self.others(pool)
        if pool.exclusive and others:
            return False
        if pool.memory is None:
            return True
        if claim.alone and not all(each.pinned for each in others.values()):
            return False
        if self._alone.get(pool.name, 0):
            return False
        return self.taken.get(pool.name, 0) + claim.memory <= pool.memory

    def is_over(self, pool: Pool) -> bool:
        """More of it is taken than there is."""
        others = self.others(pool)
        if pool.exclusive and len(others) > 1:
            return True
        return pool.memory is not None and self.taken.get(pool.name, 0) > pool.memory


def claim_of(
    state: State,
    tenant: Tenant,
    *,
    alone: bool = False,
    use: Use | None = None,
    ready: float | None = None,
) -> Claim:
    """What a worker takes by the rules of the moment."""
    unit = tenant.unit
    member = state.rules.members.get(unit)
    pinned = member is not None and member.pinned
    pools = state.rules.pools_of(unit)
    return Claim(tenant, state.memory(unit), pools, pinned, alone, use, ready)
