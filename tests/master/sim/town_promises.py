"""What is promised of units that share."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hsu_worker.master import residency
from hsu_worker.master.admission import Admission
from hsu_worker.master.event import Event
from hsu_worker.master.policy import Phase
from hsu_worker.master.replicas import Owner
from hsu_worker.master.residency import Pool, Tenant
from hsu_worker.master.residency.state import Waiting
from tests.master.sim.town_census import EPSILON, Census
from tests.master.sim.town_tables import START_TIMEOUT
from tests.master.sim.townsfolk import ENDING, STARTUP, Folk

if TYPE_CHECKING:
    from tests.master.sim.town import Town

#: The longest call, in seconds.
CALL: Final = 3.0

#: Of the texts of `residency.texts` those that tell for whom somebody has to go.
_FOR: Final = re.compile(r"unit '(\w+)' (?:needs|ran out of memory)")


class Hall(Admission):
    """The true one, where each decision is looked at before anything is done.

    Args:
        town: Where it is.

        units: As `Admission` has them.
    """

    def __init__(self, town: "Town", units: Mapping[str, Owner]) -> None:
        super().__init__(units)
        self._promises = Promises(town, self)
        town.promises = self._promises

    def feed(self, event: residency.Event) -> tuple[residency.Effect, ...]:
        """Decide, as one would who asks all of them anew."""
        self._promises.town.note(event)
        if isinstance(event, residency.Left):
            # It may have given its room back before it began.
            self._promises.town.folk[event.tenant].let_in = False
        self._promises.waited = self.state.waiting
        ledger = residency.Ledger(self._seen)
        try:
            anew = residency.decide(self.state, event, ledger, self._loop.time())
            effects = super().feed(event)
        except Exception as error:
            self._promises.town.break_(f"{event} is answered with {error!r}")
            raise
        if (self.state, effects) != (anew[0], tuple(anew[1])):
            self._promises.town.break_(f"{effects} is decided, and would be {anew[1]} anew")
        return effects

    def _do(self, effect: residency.Effect) -> None:
        self._promises.town.note(f"-> {effect}")
        match effect:
            case residency.Admit(tenant):
                self._promises.let_in(tenant)
            case residency.Evict():
                self._promises.evicted(effect)
            case residency.Refuse(tenant, why):
                self._promises.refused(tenant, why)
            case _:
                pass
        super()._do(effect)


class Promises(Census):
    """What is looked at with each decision, and before time passes.

    Args:
        town: Whose they are.

        hall: Where it is decided.
    """

    def __init__(self, town: "Town", hall: Hall) -> None:
        super().__init__(town, hall)
        self.evictions = self.drained = self.retried = 0
        self.waited: tuple[Waiting, ...] = ()
        """Those who did before the decision of the moment."""

    # What is done.

    def let_in(self, tenant: Tenant) -> None:
        """Nobody is let in where there is no room, whatever an adoption or a reload has done to it."""
        folk = self.town.folk[tenant]
        if folk.found is None and not folk.holds:
            self.fits(folk)
        self.town.expect(not folk.holds, f"{tenant} is let in twice")
        rivals = [each for each in self.rivals(folk) if each.holds]
        if folk.alone:
            beside = [each.tenant for each in rivals if not self.may_wait_for(each, folk)]
            self.town.expect(not beside, f"{tenant} is tried once more beside {beside}")
        for each in rivals:
            tried = each.alone and each.ready_at is None
            self.town.expect(not tried, f"{tenant} comes in while {each.tenant} is tried once more")
        self._overtakes(folk)
        folk.let_in = True
        folk.entries += 1

    def _overtakes(self, folk: Folk) -> None:
        """Nobody takes the memory that the first one waits for, if that one can get it at all.

        Where units depend on others, it may be that it can't get it yet.
        """
        if self.hall.state.rules.needs:
            return
        waits = (
            each
            for each in self.waited
            if self.stands(self.town.folk[each.tenant]) and not self.town.folk[each.tenant].holds
        )
        waiting = next(waits, None)
        first = folk if waiting is None else self.town.folk[waiting.tenant]
        if waiting is None or first is folk or waiting.alone or folk.entries:
            return
        room: dict[str, int] = {}
        """What others may have beside it, where it lacks some."""
        for pool in self.pools(first):
            there = self.holders(pool)
            stay = [each for each in there if self._stays(each, first)]
            if pool.exclusive and stay:
                return
            if pool.memory is None:
                continue
            left = pool.memory - sum(map(self.may_take, (*stay, first)))
            if left < 0:
                return
            if sum(map(self.takes, (*there, first))) > pool.memory:
                room[pool.name] = left
        for pool in self.pools(folk):
            self.town.expect(
                self.takes(folk) <= room.get(pool.name, self.takes(folk)),
                f"{folk.tenant} takes what {first.tenant} waits for, who came before it",
            )

    def _stays(self, folk: Folk, first: Folk) -> bool:
        """It is not put out for that one, however long it waits."""
        own = folk.tenant.unit == first.tenant.unit and self.stands(folk) is not None
        return self.is_pinned(folk) or (own and not self.is_replaced(folk, first.tenant))

    def fits(self, folk: Folk) -> None:
        """It may take what it takes, beside those that are there."""
        for pool in self.pools(folk):
            there = [each for each in self.holders(pool) if each is not folk]
            alive = [each.tenant for each in there]
            self.town.expect(
                not (pool.exclusive and there), f"{folk.tenant} and {alive} are alive in {pool}"
            )
            if pool.memory is None:
                continue
            taken = sum(map(self.takes, (*there, folk)))
            self.town.expect(
                taken <= pool.memory,
                f"{taken} of the {pool.memory} of {pool} are taken by {alive} and {folk.tenant}",
            )

    def evicted(self, effect: residency.Evict) -> None:
        """Nobody has to go who is not idle, or without need, or too soon, or for the wrong one."""
        expect, tenant, now = self.town.expect, effect.tenant, self.town.now
        self.drained += effect.drain
        folk = self.town.folk[tenant]
        stands = self.stands(folk)
        if stands is None or not (stands[1].phase is Phase.READY or folk.warm):
            self.town.break_(f"{tenant} has to go, and is not ready")
            return
        pools = self.pools(folk)
        if (match := _FOR.match(effect.why)) is None:
            over = [pool for pool in pools if self.is_over(pool) or self.may_be_over(pool)]
            expect(over, f"{tenant} has to go, and there is room: {effect.why}")
        else:
            unit = match.group(1)
            waiting = [each for each in self.hall.state.waiting if each.tenant.unit == unit]
            if not waiting:
                self.town.break_(f"{tenant} has to go for {unit!r}, which doesn't wait")
                return
            if any(self.is_replaced(folk, each.tenant) for each in waiting):
                return
            expect(unit != tenant.unit, f"{tenant} has to go for a sibling")
            needed = tenant.unit in self.needs(unit) and not self.is_further(folk)
            expect(not needed, f"{unit!r} puts out {tenant}, which it needs")
            shared = self.hall.state.rules.pools_of(unit)
            over = [pool for pool in pools if pool in shared]
            least = min((pool.max_wait for pool in over), default=0.0)
            soon = effect.drain and now < waiting[0].asked + least - EPSILON
            expect(over and not soon, f"{tenant} has to go before {unit!r} has waited for too long")
        expect(self.is_idle(folk) or effect.drain, f"{tenant} has to go at once, and is busy")
        expect(not self.is_pinned(folk), f"{tenant} has to go, and is pinned")
        old = folk.warm or not over or any(not self.is_young(folk, pool) for pool in over)
        expect(old, f"{tenant} has to go as soon as it has come")

    def refused(self, tenant: Tenant, why: str) -> None:
        """Nobody is whose memory was declared: such a file is a mistake."""
        members = self.hall.state.rules.members
        learned = any(member.memory is None for member in members.values())
        self.town.expect(learned, f"{tenant} is refused: {why}")

    def told(self, event: Event) -> None:
        """What `why` tells."""
        if (event.kind, event.trigger) == ("starting", "memory"):
            self.retried += 1
            self.town.folk[Tenant(event.unit, event.generation)].alone = True
        if (event.kind, event.trigger) == ("stopping", "evicted"):
            self.evictions += 1
            folk = self.town.folk[Tenant(event.unit, event.generation)]
            self.town.expect(not folk.running, f"{folk.tenant} was evicted under a call")

    # What holds before time passes.

    def settled(self) -> None:
        """All is on its way that has to be done now."""
        state = self.hall.state
        for pool in state.rules.pools.values():
            if self.is_over(pool):
                for folk in self.holders(pool):
                    stays = folk.ready_at is None or self.is_pinned(folk) or not self.is_idle(folk)
                    self.town.expect(
                        stays or self.is_young(folk, pool),
                        f"more is taken of {pool} than there is, and {folk.tenant} is idle and stays",
                    )
        before: set[str] = set()
        for waiting in state.waiting:
            folk = self.town.folk[waiting.tenant]
            if self.stands(folk) is None:
                continue
            waits = self.town.now - waiting.asked
            self.town.expect(
                waits <= self.bound() or self.never_fits(folk),
                f"{waiting.tenant} has waited for {waits:.1f} s",
            )
            names = {pool.name for pool in self.pools(folk)}
            # Who came before has the first right.
            if before.isdisjoint(names) and not waiting.alone:
                self._moves(waiting, folk)
            before |= names

    def _moves(self, waiting: Waiting, folk: Folk) -> None:
        """Somebody is on the way out for it, or has been ready for too short a time; or those who could go
        would not be enough.
        """
        pools, rules = self.pools(folk), self.hall.state.rules
        left: dict[Folk, None] = {}
        for pool in pools:
            for each in self.town.folk.values():
                if not each.holds or pool not in self.pools(each):
                    continue
                stands = self.stands(each)
                if stands is None or (stands[1].phase is Phase.WARM and not each.warm):
                    return
                resident = self.hall.state.residents[each.tenant]
                if resident.alone and resident.ready is None:
                    return
                if not self._may_go(each, waiting, pool):
                    left[each] = None
                elif self.is_young(each, pool):
                    return
        for pool in pools:
            there = [each for each in left if pool in self.pools(each)]
            members = [rules.members[each.tenant.unit] for each in (*there, folk)]
            if pool.exclusive and there:
                return
            if pool.memory is None:
                continue
            if any(member.memory is None for member in members):
                return
            if sum(member.memory or 0 for member in members) > pool.memory:
                return
        stay = [each.tenant for each in left]
        self.town.break_(f"{folk.tenant} waits, and would have room beside {stay}")

    def _may_go(self, folk: Folk, waiting: Waiting, pool: Pool) -> bool:
        stands = self.stands(folk)
        assert stands is not None
        ready = stands[1].phase is Phase.READY
        overdue = self.town.now >= waiting.asked + pool.max_wait + EPSILON
        if self.is_replaced(folk, waiting.tenant):
            # If nothing else helps: others may be starting, and go then.
            begin = [each for each in self.holders(pool) if each.ready_at is None]
            return ready and overdue and not begin
        own = folk.tenant.unit == waiting.tenant.unit
        kept = self.kept_for(waiting)
        stays = own or (folk.tenant.unit in kept and not self.is_further(folk))
        if stays or self.is_pinned(folk):
            return False
        # With whom it is to be there, goes last.
        partner = self.may_wait_for(folk, self.town.folk[waiting.tenant])
        return self.is_idle(folk) or (ready and overdue and not partner)

    def bound(self) -> float:
        """The most that a start may wait: what is promised, and what each one before it may take."""
        pools = self.hall.state.rules.pools.values()
        longest = max((pool.max_wait for pool in pools), default=0.0)
        least = max((pool.min_residency for pool in pools), default=0.0)
        turn = STARTUP + least + CALL + ENDING
        # So long a warm start may wait for what it depends on, and holds its room.
        return longest + self.town.places() * turn + START_TIMEOUT

    def ended(self, outside: int) -> None:
        """Nobody was put out again and again: each eviction is for a start, and each start for something
        that happened; most starts put out nobody, and the few that put out several don't make up for it.

        Args:
            outside: Calls, deeds, accidents, and what was to be there from the beginning.
        """
        self.town.expect(
            self.evictions <= outside, f"{self.evictions} evictions, and {outside} things happened"
        )
