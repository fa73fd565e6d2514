"""First, an event is taken down as a fact, with what is to be done about it at once."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import TypeAlias

from hsu_worker.errors import FailedPrecondition
from hsu_worker.master.policy import (
    dependencies,
    evictions,
    places,
    refusals,
    reloads,
    stand_ins,
    swaps,
    warm,
)
from hsu_worker.master.policy.effects import Effect, Probe, Refuse, SwapEnded, Tell
from hsu_worker.master.policy.events import (
    Alive,
    Arrive,
    Close,
    Event,
    Evict,
    Gone,
    Leave,
    Leaving,
    Lost,
    Needed,
    Numbered,
    Outgrown,
    Reconfigured,
    Release,
    Returning,
    StandInAsked,
    Started,
    StartFailed,
    StartNeeded,
    StartWanted,
    StopAsked,
    Suspect,
    SwapAsked,
    Tick,
    Unresponsive,
    Warm,
    WarmFailed,
)
from hsu_worker.master.policy.state import Phase, State, evolve
from hsu_worker.master.policy.trouble import Restart, Trouble

Decision: TypeAlias = tuple[State, Sequence[Effect]]

_ASKED = "somebody asked for it"

#: Evidence of the starts that nobody has asked for, by their triggers.
_UNASKED = {
    "adopt": "an earlier master has left its worker",
    "preload": "its table says `preload = true`",
}


def note(state: State, event: Event, now: float) -> Decision:
    match event:
        case Arrive():
            return _arrive(state, event, now)
        case Leave(waiter):
            return evolve(state, waiters=tuple(w for w in state.waiters if w != waiter)), ()
        case Release(number):
            return _release(state, number, now), ()
        case Started(number):
            return _started(state, number, now)
        case StartFailed():
            return _start_failed(state, event, now)
        case Lost(number, how, clean, draw, finishes):
            return _lost(state, number, how, now, draw, clean=clean, finishes=finishes)
        case Unresponsive(number, how, draw):
            return _lost(state, number, how, now, draw, force=True)
        case Suspect(number, how, probe):
            current = places.ready(state, number)
            if current is None or current.suspect:
                return state, ()
            suspected = places.put(state, evolve(current, suspect=True))
            return suspected, (Probe(number),) if probe else ()
        case Alive(number):
            current = places.ready(state, number)
            if current is None:
                return state, ()
            return places.put(state, evolve(current, suspect=False)), ()
        case Outgrown(number, how):
            return reloads.outgrown(state, number, how, now), ()
        case Evict():
            return evictions.evicted(state, event, now)
        case Leaving(number):
            current = places.ready(state, number)
            if current is None:
                return state, ()
            if current.stand_in:
                return stand_ins.leaving(state, current, now)
            wanted = state.wanted or state.rules.restart is Restart.ALWAYS
            leaving = places.drained(state, current, now, "exit", "it is leaving by itself")
            return evolve(leaving, wanted=wanted, cause=("restart", "it left by itself")), ()
        case Warm(number):
            return warm.stopped(state, number, now)
        case WarmFailed(number, why):
            failed = state.current
            if failed is None or failed.number != number or not warm.is_warm(failed):
                return state, ()
            return warm.failed(state, failed, "start" if failed.resumes else "idle", why)
        case Gone(number):
            return _gone(state, number)
        case Tick():
            return state, ()
        case StartWanted(trigger):
            # A person knows better than a backoff.
            if state.closed:
                return state, ()
            comes = places.comes(state)
            cause = state.cause if comes else (trigger, _UNASKED.get(trigger, _ASKED))
            state = evolve(state, held=False, kept_until=None, trouble=Trouble())
            return evolve(state, wanted=not comes, cause=cause), ()
        case StartNeeded():
            return dependencies.start_needed(state, event, now), ()
        case Numbered(last):
            return evolve(state, last=max(state.last, last)), ()
        case Needed(count):
            return dependencies.needed(state, count, now), ()
        case StopAsked(hold):
            return _stop_asked(state, now, hold)
        case SwapAsked(spec):
            return swaps.asked(state, spec)
        case StandInAsked(spec, who):
            return swaps.asked(state, spec, stand_in=True, why=who)
        case Returning(number, within):
            return stand_ins.returning(state, number, within), ()
        case Reconfigured():
            return reloads.reconfigured(state, event)
        case Close(removed):
            state = evolve(state, closed=True, removed=removed)
            refused = (Refuse(state.waiters, refusals.closed(state)),) if state.waiters else ()
            closed, effects = _stop_asked(evolve(state, waiters=()), now, hold=False)
            return closed, (*refused, *effects)


def _arrive(state: State, event: Arrive, now: float) -> Decision:
    current = state.current
    refusal = refusals.standing(state, now)
    if refusal is None:
        if not event.start and (current is None or current.phase is not Phase.READY):
            refusal = refusals.not_running(state)
        elif event.cycle and places.is_full(state):
            refusal = refusals.cycle(state, event.cycle)
        elif len(state.waiters) >= state.rules.queue:
            refusal = refusals.full(state)
    if refusal is not None:
        return state, (Refuse((event.waiter,), refusal),)
    cause = state.cause if state.waiters or state.wanted else ("call", event.what)
    return evolve(state, waiters=(*state.waiters, event.waiter), cause=cause), ()


def _release(state: State, number: int, now: float) -> State:
    generation = state.find(number)
    # Leases of a worker that is being ended come back too late to count.
    if generation is None or not generation.serves:
        return state
    return places.put(state, evolve(generation, leases=generation.leases - 1, quiet_since=now))


def _started(state: State, number: int, now: float) -> Decision:
    generation = state.find(number)
    if generation is None or generation.phase is not Phase.STARTING:
        return state, ()
    ready = evolve(generation, phase=Phase.READY, since=now, quiet_since=now, resumes=False)
    if generation is state.current:
        return evolve(state, current=ready), ()
    return swaps.flipped(state, ready, now)


def _start_failed(state: State, event: StartFailed, now: float) -> Decision:
    number, error = event.generation, event.error
    generation = state.find(number)
    if generation is None or generation.phase is not Phase.STARTING:
        return state, ()
    if generation is state.candidate:
        return swaps.start_failed(state, generation, error)
    if event.again and evictions.tries_again(state, generation):
        return evictions.tried_again(state, generation, error, event.again)
    effects: list[Effect] = []
    if state.waiters:
        effects.append(Refuse(state.waiters, error))
    failed = _failed(evolve(state, waiters=()), error.message, now, event.draw, effects, number)
    stopped = generation.stop_asked
    again = state.rules.restart in (Restart.ALWAYS, Restart.ON_FAILURE) and not stopped
    failed = evolve(failed, wanted=again, cause=("restart", "its start failed"))
    return places.stopping(failed, generation, effects, event.trigger, error.message), effects


def _lost(
    state: State,
    number: int,
    how: str,
    now: float,
    draw: float,
    *,
    clean: bool = False,
    finishes: bool = False,
    force: bool = False,
) -> Decision:
    generation = state.find(number)
    if generation is not None and warm.is_warm(generation):
        trigger = "liveness" if force else "exit"
        return warm.failed(state, generation, trigger, how, force=force)
    if generation is None or not generation.serves:
        return state, ()
    if generation.stand_in:
        return stand_ins.lost(state, generation, how, now, force=force)
    effects: list[Effect] = []
    deliberate = generation.phase is Phase.DRAINING
    if generation is state.current and not deliberate:
        restart = state.rules.restart
        # With exit code 0 under a call it left nobody in order.
        clean = clean and (finishes or not generation.leases)
        again = restart is Restart.ALWAYS or (restart is Restart.ON_FAILURE and not clean)
        state = evolve(
            state,
            wanted=again or state.wanted,
            cause=("restart", f"generation {number} ended: {how}"),
        )
        # One that leaves in order, and is started again each time, is a loop as well.
        if not clean or restart is Restart.ALWAYS:
            state = _failed(state, how, now, draw, effects, number)
        else:
            state = places.served(state, generation, now)
    trigger = "liveness" if force else "exit"
    return places.stopping(state, generation, effects, trigger, how, force=force), effects


def _failed(
    state: State, reason: str, now: float, draw: float, effects: list[Effect], number: int
) -> State:
    trouble = state.trouble.after_failure(state.rules, reason, now, draw)
    first_line = reason.partition("\n")[0].removesuffix("; its last output:")
    if trouble.open:
        told = refusals.breaker(state.rules, trouble, now)
        effects.append(Tell("faulted", number, "breaker", f"{told}; the last: {first_line}"))
    elif trouble.retry_at is not None and trouble.retry_at > now:
        delay = f"no start for {trouble.retry_at - now:.2f} s after failure {trouble.streak}"
        effects.append(Tell("backoff", number, "exit", f"{delay}: {first_line}"))
    return evolve(state, trouble=trouble)


def _gone(state: State, number: int) -> Decision:
    generation = state.find(number)
    if generation is None or generation.phase is not Phase.STOPPING:
        return state, ()
    if generation is state.current:
        return evolve(state, current=None), ()
    if generation is state.candidate:
        ended = SwapEnded(number, state.swap_error)
        return evolve(state, candidate=None, swap_error=None), (ended,)
    new = state.current.number if state.current is not None else state.last
    return evolve(state, retiring=None), (SwapEnded(new, None),)


def _stop_asked(state: State, now: float, hold: bool) -> Decision:
    effects: list[Effect] = []
    if hold and not state.held:
        effects.append(Tell("held", state.last, "asked", _ASKED))
    trouble = state.trouble
    if trouble.retry_at != inf:
        trouble = replace(trouble, retry_at=None, open=False)
    state = evolve(state, held=hold or state.held, wanted=False, trouble=trouble, kept_until=None)
    candidate = state.candidate
    if candidate is not None and candidate.phase is Phase.STARTING:
        stopped = FailedPrecondition(f"unit {state.rules.unit!r} was stopped during the swap")
        state = places.stopping(state, candidate, effects, "asked", "the unit was stopped")
        state = swaps.failed(state, candidate, stopped, effects)
    current = state.current
    if state.waiters and (hold or current is None):
        effects.append(Refuse(state.waiters, refusals.stopped(state)))
        state = evolve(state, waiters=())
    trigger, why = _stopper(state)
    if current is None:
        return state, effects
    if current.phase is Phase.STARTING:
        if state.waiters and not state.closed:
            return evolve(state, current=evolve(current, stop_asked=True)), effects
        return places.stopping(state, current, effects, trigger, why), effects
    if current.phase is Phase.READY:
        return places.drained(state, current, now, trigger, why), effects
    if current.phase is Phase.WARM:
        return places.stopping(state, current, effects, trigger, why), effects
    return state, effects


def _stopper(state: State) -> tuple[str, str]:
    """Trigger and evidence of a stop."""
    if state.removed:
        return "reload", "it is no longer in hsu.toml"
    return ("master", "the master leaves") if state.closed else ("asked", _ASKED)
