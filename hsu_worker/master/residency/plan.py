"""Who may start, who has to go for whom, and when to look again."""

from dataclasses import replace

from hsu_worker.master.residency import texts
from hsu_worker.master.residency.events import Admit, Effect, Evict, Refuse, Tell, Wake
from hsu_worker.master.residency.ledger import Ledger
from hsu_worker.master.residency.room import Claim, claim_of
from hsu_worker.master.residency.state import Pool, Resident, State, Waiting
from hsu_worker.master.residency.victims import choose


class Plan:
    """One decision, made from the whole state, whatever happened before.

    Args:
        state: What is known.

        ledger: What each resident takes, opened.

        now: Seconds of a monotonic clock.
    """

    def __init__(self, state: State, ledger: Ledger, now: float) -> None:
        self.effects: list[Effect] = []
        self._state = state
        self._ledger = ledger
        self._now = now
        self._wakes: list[float] = []
        self._present = ledger.present
        """With those that are on their way out."""
        self._future = ledger.future
        """With those that are on their way in, in their place."""
        self._kept = _needed_by_those_that_start(state)
        """The units that those depend on who start, or came before: they would start without them."""

    def make(self) -> State:
        """The state, once everything is on its way that has to be done now; adds to `effects`."""
        over = any(list(map(self._relieve, self._state.rules.pools.values())))
        waiting = tuple(
            [each for known in self._state.waiting if (each := self._served(known)) is not None]
        )
        if self._wakes:
            self.effects.append(Wake(min(self._wakes)))
        return replace(self._state, waiting=waiting, over=over)

    def _served(self, waiting: Waiting) -> Waiting | None:
        """Let it in, or see to it that it can be; returns it if it has to wait."""
        tenant = waiting.tenant
        use = self._ledger.seen(tenant)
        if use.leaving:
            # Its unit wants it no more, and it will say so.
            return waiting
        claim = claim_of(self._state, tenant, alone=waiting.alone, replaces=use.replaces)
        for pool in claim.pools:
            stay = self._stay(pool, claim)
            beside = sum(map(self._state.memory, stay))
            if pool.memory is not None and claim.memory + beside > pool.memory:
                why = texts.hopeless(self._state, pool, tenant, stay, beside)
                self.effects.append(Refuse(tenant, why))
                return None
        # Who came before has the first right to what comes free: nobody overtakes it.
        if not self._future.lacks(claim) and not self._present.lacks(claim):
            # It starts; for a larger one that waits, it may have to go after that.
            claim = replace(claim, use=use)
            self._present.add(claim)
            self._future.add(claim)
            residents = {**self._state.residents, tenant: Resident(alone=waiting.alone)}
            self._ledger.note(tenant)
            self._kept |= claim.needs
            self._state = replace(self._state, residents=residents)
            self.effects.append(Admit(tenant))
            return None
        note = self._note(claim)
        victims = choose(claim, self._future, self._kept | claim.needs)
        # One that can't have room keeps nobody out of what it depends on: a further replica may wait so for ever.
        if victims is not None:
            self._kept |= claim.needs
            self._future.add(claim)
            self._evict(waiting, claim, victims)
        elif use.swap and (why := self._kept_out(waiting, claim)):
            self.effects.append(Refuse(tenant, why))
            return None
        if note != waiting.note:
            self.effects.append(Tell(tenant, note))
        return replace(waiting, note=note)

    def _stay(self, pool: Pool, claim: Claim) -> set[str]:
        """The units of which one worker stays there whatever happens: old ones and further replicas go."""
        pinned = {each.unit for each in self._future.share(pool).pinned}
        # One of these may be gone, and comes back.
        needs = {each for each in claim.needs if pool in self._state.rules.pools_of(each)}
        return (pinned | needs) - {claim.tenant.unit}

    def _kept_out(self, waiting: Waiting, claim: Claim) -> str:
        """Why a swap has waited for long enough for replicas that leave it no room; "": it hasn't."""
        for pool in self._future.lacks(claim):
            share, unit = self._future.share(pool), claim.tenant.unit
            siblings = share.units.get(unit, 0) - (claim.replaces in share.claims)
            stay = self._stay(pool, claim)
            beside = siblings * claim.memory + sum(map(self._state.memory, stay))
            if not siblings or pool.memory is None or claim.memory + beside <= pool.memory:
                continue
            overdue = waiting.asked + pool.max_wait
            if self._now >= overdue:
                return texts.kept_out(pool, claim.tenant, claim.memory, {unit, *stay}, beside)
            self._wakes.append(overdue)
        return ""

    def _note(self, claim: Claim) -> str:
        room = self._present if self._present.lacks(claim) else self._future
        pool = room.lacks(claim)[0]
        share = room.share(pool)
        return texts.waits(pool, claim.memory, share.taken, share.units, alone=claim.alone)

    def _evict(self, waiting: Waiting, claim: Claim, victims: list[tuple[Claim, Pool]]) -> None:
        """Send them away: all at once, as soon as nobody uses them, or each that can be once it has been
        waited for too long where it is.
        """
        ready: list[tuple[float, Evict]] = []
        for victim, pool in victims:
            own = victim.tenant == claim.replaces
            if victim.use is None or victim.ready is None or not victim.use.ready:
                # It is starting: what comes of it will be told.
                continue
            overdue = waiting.asked + pool.max_wait
            stays = victim.ready + pool.min_residency
            if self._now < stays and not own:
                self._wakes.append(stays)
            elif victim.idle or own or self._now >= overdue:
                waited = self._now - waiting.asked
                why = texts.evicted(
                    pool, claim.tenant, claim.memory, waited=waited, alone=claim.alone
                )
                ready.append((overdue, Evict(victim.tenant, why, drain=not victim.idle)))
        if len(ready) < len(victims):
            ready = [each for each in ready if self._now >= each[0]]
            due = [waiting.asked + pool.max_wait for _, pool in victims]
            self._wakes += [each for each in due if self._now < each]
        self.effects += [effect for _, effect in ready]

    def _relieve(self, pool: Pool) -> bool:
        """Send those away whom nobody uses while more is taken than there is; says if it still is."""
        room = self._future
        if not room.is_over(pool):
            return False
        share = room.share(pool)
        for each in share.ranked():
            # Behind the first that is not idle, nobody is.
            if not (each.idle and room.is_over(pool)):
                break
            if each.pinned or each.ready is None:
                continue
            if self._now < each.ready + pool.min_residency:
                self._wakes.append(each.ready + pool.min_residency)
                continue
            why = texts.too_much(pool, share.taken, share.units)
            room.remove(each)
            self.effects.append(Evict(each.tenant, why))
        return room.is_over(pool)


def _needed_by_those_that_start(state: State) -> set[str]:
    needs = state.rules.needs
    if not needs:
        return set()
    starting = [each.unit for each, known in state.residents.items() if known.ready is None]
    return {need for unit in starting for need in needs.get(unit, ())}
