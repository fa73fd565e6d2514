"""A generation in its place: current, candidate or retiring."""

from typing import Final

from hsu_worker.master.policy.effects import Effect, Stop
from hsu_worker.master.policy.state import Generation, Phase, State, evolve

#: The cause of the next start, for those whom a worker has no room for before it is stopped.
WAITED: Final = ("call", "a call that waited")

_ENDING: Final = (Phase.DRAINING, Phase.STOPPING)


def cause(state: State) -> tuple[str, str]:
    """Trigger and evidence of a start that begins now."""
    trigger, why = state.cause
    others = len(state.waiters) - 1
    if trigger == "call" and others > 0:
        why += f" and {others} more"
    return trigger, why


def ready(state: State, number: int) -> Generation | None:
    """The current generation, if it is the one of this number and takes calls."""
    current = state.current
    if current is None or current.number != number or current.phase is not Phase.READY:
        return None
    return current


def comes(state: State) -> bool:
    """The current generation serves, or will, as far as anybody knows."""
    current = state.current
    return (
        current is not None
        and current.phase in (Phase.STARTING, Phase.READY)
        and not (current.stop_asked or current.suspect)
    )


def is_full(state: State) -> bool:
    """The calls of the current generation leave no room, neither in it nor for its successor."""
    current = state.current
    if current is None or not current.leases or current.suspect:
        return False
    if current.phase is Phase.DRAINING:
        return True
    most = state.rules.concurrency
    return current.phase is Phase.READY and most is not None and current.leases >= most


def put(state: State, generation: Generation) -> State:
    """The state with this generation in the place that it has."""
    number = generation.number
    if state.current is not None and state.current.number == number:
        return evolve(state, current=generation)
    if state.retiring is not None and state.retiring.number == number:
        return evolve(state, retiring=generation)
    return evolve(state, candidate=generation)


def drained(state: State, generation: Generation, now: float, trigger: str, why: str) -> State:
    """The state with this generation on its way out: no new leases, and time for those it has."""
    state = served(state, generation, now)
    # One that is on its way out already gets no more time.
    until = generation.drain_until or now + state.rules.drain
    return put(
        state,
        evolve(
            generation,
            phase=Phase.DRAINING,
            drain_until=until,
            trigger=trigger,
            why=why,
            suspect=False,
        ),
    )


def sent_away(before: State, after: State) -> list[int]:
    """The generations that were to go on, and are to end now: at once, or after the calls that they have."""
    sent = []
    # Each event of a call comes here: where nobody ends, it costs next to nothing.
    for each in (after.current, after.retiring, after.candidate):
        if each is not None and _ends(each):
            known = before.find(each.number)
            if known is not None and not _ends(known):
                sent.append(each.number)
    return sent


def _ends(generation: Generation) -> bool:
    """Nothing brings it back."""
    return generation.stop_asked or generation.phase in _ENDING


def served(state: State, generation: Generation, now: float) -> State:
    """The state with what the generation served counted, if it is the one that calls went to."""
    if generation is not state.current or generation.phase is not Phase.READY:
        return state
    seconds = now - generation.since
    return evolve(state, trouble=state.trouble.after_service(state.rules, seconds))


def stopping(
    state: State,
    generation: Generation,
    effects: list[Effect],
    trigger: str,
    why: str,
    *,
    force: bool = False,
) -> State:
    """The state with this generation being ended."""
    effects.append(Stop(generation.number, trigger, why, force))
    return put(state, evolve(generation, phase=Phase.STOPPING, leases=0))
