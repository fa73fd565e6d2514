"""Second, everything is planned anew: what has to be done now, whatever happened before."""

from math import inf

from hsu_worker.master.policy import places, refusals, swaps, warm
from hsu_worker.master.policy.effects import Effect, Grant, Refuse, Start, Wake
from hsu_worker.master.policy.state import Generation, Phase, State, evolve
from hsu_worker.master.policy.trouble import Trouble

_ASKED = ("asked", "somebody asked for it")


def plan(state: State, now: float, effects: list[Effect]) -> State:
    """The state, once everything is on its way that has to be done now; adds to the effects."""
    wake: list[float] = []
    for generation in state.generations:
        if generation.phase is Phase.STARTING and generation.stop_asked:
            if not state.waiters:
                state = places.stopping(state, generation, effects, *_ASKED)
        elif generation.phase is Phase.DRAINING:
            if not generation.leases or now >= generation.drain_until:
                state = places.stopping(
                    state, generation, effects, generation.trigger, generation.why
                )
            else:
                wake.append(generation.drain_until)
    if state.renew:
        state = _renew(state, effects)
    current = state.current
    if current is None:
        state = _start(state, now, effects, wake)
    elif current.phase is Phase.READY:
        state = _ready(state, current, now, effects, wake)
    elif current.phase is Phase.WARM:
        state = warm.plan(state, current, now, effects, wake)
    if wake:
        effects.append(Wake(min(wake)))
    return state


def _renew(state: State, effects: list[Effect]) -> State:
    current = state.current
    # Whatever comes after one that is on its way out is another one anyway.
    if current is None or current.stand_in or current.phase is not Phase.READY or state.closed:
        return evolve(state, renew="")
    if state.candidate is not None or state.retiring is not None:
        return state
    state, started = swaps.asked(evolve(state, renew=""), state.spec, why=state.renew)
    effects += started
    return state


def _start(state: State, now: float, effects: list[Effect], wake: list[float]) -> State:
    if state.kept_until is not None:
        if now < state.kept_until:
            wake.append(state.kept_until)
            return state
        state = evolve(state, kept_until=None)
    trouble = state.trouble
    if trouble.blocks(now):
        assert trouble.retry_at is not None
        if trouble.open and state.waiters:
            effects.append(Refuse(state.waiters, refusals.faulted(state, now)))
            state = evolve(state, waiters=())
        if trouble.retry_at != inf:
            wake.append(trouble.retry_at)
        return state
    if trouble.retry_at is not None:
        trouble = trouble.before_start()
        state = evolve(state, trouble=trouble)
    if state.closed or not (state.waiters or state.wanted):
        return state
    number = state.last + 1
    effects.append(Start(number, state.spec, *places.cause(state)))
    return evolve(
        state,
        current=Generation(number=number, spec=state.spec),
        last=number,
        wanted=False,
        cause=places.WAITED,
    )


def _ready(
    state: State, current: Generation, now: float, effects: list[Effect], wake: list[float]
) -> State:
    rules = state.rules
    if state.waiters and not current.suspect:
        room = len(state.waiters)
        if rules.concurrency is not None:
            room = max(0, rules.concurrency - current.leases)
        granted, waiting = state.waiters[:room], state.waiters[room:]
        if granted:
            effects.append(Grant(granted, current.number))
            current = evolve(current, leases=current.leases + len(granted))
            state = evolve(state, current=current, waiters=waiting)
    if current.stop_asked:
        return _drain_now(state, current, now, effects, wake)
    if state.wanted and not current.suspect:
        state = evolve(state, wanted=False)
    if state.trouble.streak:
        recovered = current.since + rules.healthy - state.trouble.served
        if now >= recovered:
            state = evolve(state, trouble=Trouble())
        else:
            wake.append(recovered)
    busy = current.leases or state.waiters or state.needed
    if rules.idle is None or current.stand_in or busy:
        return state
    if now >= current.quiet_since + rules.idle:
        why = f"not called for {rules.idle:g} s"
        if warm.stops(state, current):
            return warm.stop(state, current, now, effects, why)
        state = places.served(state, current, now)
        return places.stopping(state, current, effects, "idle", why)
    wake.append(current.quiet_since + rules.idle)
    return state


def _drain_now(
    state: State, current: Generation, now: float, effects: list[Effect], wake: list[float]
) -> State:
    """Those who waited have their leases: what was asked for during the start follows."""
    state = places.drained(state, current, now, *_ASKED)
    assert state.current is not None
    if not state.current.leases:
        return places.stopping(state, state.current, effects, *_ASKED)
    wake.append(state.current.drain_until)
    return state
