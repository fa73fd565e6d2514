"""The decision: the event is taken down as a fact, then everything is planned anew.

Whether somebody who was asked to go does go is its unit's to decide, for a call may have come in the
same moment. So nothing here waits for one who was chosen: what the units say then is looked at again.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from hsu_worker.master.residency import texts
from hsu_worker.master.residency.events import (
    Admit,
    Ask,
    Configured,
    Effect,
    Event,
    Left,
    Look,
    RanShort,
    Ready,
    Retry,
    Weighed,
)
from hsu_worker.master.residency.ledger import Ledger
from hsu_worker.master.residency.plan import Plan
from hsu_worker.master.residency.state import Resident, Rules, State, Tenant, Waiting

Decision: TypeAlias = tuple[State, Sequence[Effect]]


def decide(state: State, event: Event, ledger: Ledger, now: float) -> Decision:
    """The next state, and what has to be done for it.

    Args:
        state: What is known.

        event: What has happened.

        ledger: What each resident takes. While the state is `restless`, it has to be told whose unit
            has stirred.

        now: Seconds of a monotonic clock.
    """
    if state.restless and not isinstance(event, Configured | Look):
        ledger.note(event.tenant)
    # One of a unit that a reload has just removed shares nothing, either, and is about to be stopped.
    if isinstance(event, Ask) and state.rules.shares_nothing(event.tenant.unit):
        return _let_in(state, event.tenant)
    before = state
    state, effects = _note(state, event, now)
    there = isinstance(event, Ask) and event.there
    # Nothing else can have taken more than there is.
    grown = there or state.rules is not before.rules or state.weights is not before.weights
    if not (state.restless or grown):
        return state, effects
    with ledger.opened(state, untold=not before.restless):
        plan = Plan(state, ledger, now)
        return plan.make(), (*effects, *plan.effects)


def _note(state: State, event: Event, now: float) -> Decision:
    match event:
        case Ask(tenant, there=True):
            return _let_in(state, tenant)
        case Ask(tenant, since=since, alone=alone):
            asked = now if since is None else since
            asks = Waiting(tenant=tenant, asked=asked, alone=alone)
            waiting = sorted((*state.waiting, asks), key=lambda each: each.asked)
            return replace(state, waiting=tuple(waiting)), ()
        case Ready(tenant):
            resident = state.residents.get(tenant)
            if resident is None:
                return state, ()
            residents = {**state.residents, tenant: replace(resident, ready=now)}
            return replace(state, residents=residents), ()
        case Weighed(tenant, memory):
            if memory <= state.weights.get(tenant.unit, 0):
                return state, ()
            return replace(state, weights={**state.weights, tenant.unit: memory}), ()
        case RanShort(tenant, again):
            return state, _ran_short(state, tenant) if again else ()
        case Left(tenant, peak):
            return _left(state, tenant, peak), ()
        case Configured(rules):
            return replace(state, rules=_with_those_that_leave(state, rules)), ()
        case Look():
            return state, ()


def _let_in(state: State, tenant: Tenant) -> Decision:
    residents = {**state.residents, tenant: Resident()}
    return replace(state, residents=residents), (Admit(tenant),)


def _with_those_that_leave(state: State, rules: Rules) -> Rules:
    """Of a unit that is no longer launched, what runs has what it has until nothing is left of it."""
    members = {
        unit: replace(member, pools=tuple(filter(rules.pools.__contains__, member.pools)))
        for unit in {tenant.unit for tenant in state.residents} - rules.members.keys()
        if (member := state.rules.members.get(unit)) is not None
    }
    return replace(rules, members={**rules.members, **members}) if members else rules


def _left(state: State, tenant: Tenant, peak: int) -> State:
    resident = state.residents.get(tenant)
    waiting = tuple([each for each in state.waiting if each.tenant != tenant])
    residents = {each: known for each, known in state.residents.items() if each != tenant}
    if peak and resident is not None:
        if resident.ready is None or any(each.unit == tenant.unit for each in residents):
            # It would have taken more; or its siblings go by the same weight, and have what they have.
            peak = max(peak, state.weights.get(tenant.unit, 0))
        state = replace(state, weights={**state.weights, tenant.unit: peak})
    return replace(state, residents=residents, waiting=waiting)


def _ran_short(state: State, tenant: Tenant) -> Sequence[Effect]:
    pools = {pool.name for pool in state.rules.pools_of(tenant.unit) if pool.memory is not None}
    stay = state.rules.needs.get(tenant.unit, frozenset()) | {tenant.unit}
    others = {
        each.unit
        for each in state.residents
        if each.unit not in stay
        and (member := state.rules.members.get(each.unit)) is not None
        and not (member.pinned or pools.isdisjoint(member.pools))
    }
    return (Retry(tenant, texts.again(tenant, others)),) if others else ()
