"""The workers of a town, as they truly are, and what their units say of them."""

from typing import TYPE_CHECKING, Final

from hsu_worker.master.admission import Admission
from hsu_worker.master.policy import Generation, Phase, State
from hsu_worker.master.replicas import Replicas
from hsu_worker.master.residency import Pool, Tenant
from hsu_worker.master.residency.state import Waiting
from tests.master.sim.townsfolk import Folk

if TYPE_CHECKING:
    from tests.master.sim.town import Town

#: Times are sums.
EPSILON: Final = 1e-6


class Census:
    """Asks the workers themselves, where it can; units for what they know alone; and for the rules of the moment.

    Args:
        town: Whose they are.

        hall: Where it is decided.
    """

    def __init__(self, town: "Town", hall: Admission) -> None:
        self.town = town
        self.hall = hall

    def pools(self, folk: Folk) -> tuple[Pool, ...]:
        """Those that it takes something of; a removed unit's as they were."""
        rules = self.hall.state.rules
        return tuple([rules.pools[name] for name in self.town.names(folk) if name in rules.pools])

    def holders(self, pool: Pool) -> list[Folk]:
        """Those that take some of it, or are about to."""
        return [
            each
            for each in self.town.folk.values()
            if each.holds
            and pool in self.pools(each)
            # One that was let in, and is stopped in that moment, never begins.
            and (each.began or each.found is not None or self.stands(each) is not None)
        ]

    def takes(self, folk: Folk) -> int:
        """As its table says, or as was seen of it."""
        member = self.hall.state.rules.members.get(folk.tenant.unit)
        declared = folk.unit.memory if member is None else member.memory
        return folk.seen if declared is None else declared

    def may_take(self, folk: Folk) -> int:
        """As others of its unit did."""
        return max(self.takes(folk), self.hall.state.memory(folk.tenant.unit))

    def stands(self, folk: Folk) -> tuple[State, Generation] | None:
        """What its unit knows of it; None: it is on its way out."""
        owner = self.hall._units.get(folk.tenant.unit)
        number = folk.tenant.generation
        unit = owner.holder(number) if isinstance(owner, Replicas) else owner
        state = None if unit is None else unit.state
        generation = None if state is None else state.find(number)
        if state is None or generation is None:
            return None
        leaves = generation.phase in (Phase.DRAINING, Phase.STOPPING)
        return None if leaves else (state, generation)

    def is_idle(self, folk: Folk) -> bool:
        """It takes calls, or is warm, and nobody uses it."""
        stands = self.stands(folk)
        if stands is None:
            return False
        state, generation = stands
        there = generation.phase is Phase.READY or folk.warm
        wanted = generation is state.current and (state.waiters or state.needed)
        return there and not (generation.leases or wanted)

    def is_further(self, folk: Folk) -> bool:
        """A replica of it is needed by others, and not this one."""
        replicas = [
            each for each in self.town.folk.values() if each.tenant.unit == folk.tenant.unit
        ]
        needed = [
            each
            for each in replicas
            if (stands := self.stands(each)) is not None
            and stands[0].needed
            and stands[1] is stands[0].current
            and stands[1].phase is Phase.READY
        ]
        return bool(needed) and folk not in needed

    def is_young(self, folk: Folk, pool: Pool) -> bool:
        """It has been ready for so short a time that it doesn't have to go."""
        assert folk.ready_at is not None
        return self.town.now < folk.ready_at + pool.min_residency - EPSILON

    def is_replaced(self, folk: Folk, tenant: Tenant) -> bool:
        """The other one is to take its place."""
        stands = self.stands(folk)
        candidate = None if stands is None else stands[0].candidate
        same = tenant.unit == folk.tenant.unit
        return same and candidate is not None and candidate.number == tenant.generation

    def needs(self, unit: str) -> set[str]:
        """All that a unit depends on."""
        owner = self.hall._units.get(unit)
        direct = () if owner is None else owner.launch.depends_on
        return set(direct).union(*map(self.needs, direct))

    def never_fits(self, folk: Folk) -> bool:
        """Its replicas serve, and nobody wrote down what they take: there may be no room for one more.

        A swap is refused then.
        """
        unit, stands = folk.tenant.unit, self.stands(folk)
        if stands is not None and stands[0].candidate is stands[1]:
            return False
        serve = any(each.tenant.unit == unit and each.holds for each in self.town.folk.values())
        return serve and self.hall.state.rules.members[unit].memory is None

    def is_over(self, pool: Pool) -> bool:
        """More is taken than there is, by those that stay."""
        there = [each for each in self.holders(pool) if self.stands(each) is not None]
        if pool.exclusive and len(there) > 1:
            return True
        return pool.memory is not None and sum(map(self.takes, there)) > pool.memory

    def may_be_over(self, pool: Pool) -> bool:
        """The same, of what nobody has seen yet."""
        there = [each for each in self.holders(pool) if self.stands(each) is not None]
        return pool.memory is not None and sum(map(self.may_take, there)) > pool.memory

    def rivals(self, folk: Folk) -> list[Folk]:
        """Those of other units that could be sent away for its memory."""
        mine = {pool.name for pool in self.pools(folk) if pool.memory is not None}
        return [
            each
            for each in self.town.folk.values()
            if each.let_in
            and each.tenant.unit not in {folk.tenant.unit, *self.needs(folk.tenant.unit)}
            and not self.is_pinned(each)
            and mine.intersection(pool.name for pool in self.pools(each))
        ]

    def is_pinned(self, folk: Folk) -> bool:
        member = self.hall.state.rules.members.get(folk.tenant.unit)
        return member is not None and member.pinned

    def may_wait_for(self, folk: Folk, other: Folk) -> bool:
        """It is in use, and it or its callers need the other one."""
        partners = self.hall.state.rules.partners.get(other.tenant.unit, ())
        used = self.stands(folk) is not None and not self.is_idle(folk)
        return used and folk.tenant.unit in partners

    def kept_for(self, waiting: Waiting) -> set[str]:
        """What it depends on, and what those do who start, or came before it."""
        state = self.hall.state
        kept = self.needs(waiting.tenant.unit)
        for tenant, resident in state.residents.items():
            stands = self.stands(self.town.folk[tenant])
            begins = stands is not None and stands[1].phase is Phase.STARTING
            if resident.ready is None or begins:
                kept |= self.needs(tenant.unit)
        for each in state.waiting[: state.waiting.index(waiting)]:
            kept |= self.needs(each.tenant.unit)
        return kept
