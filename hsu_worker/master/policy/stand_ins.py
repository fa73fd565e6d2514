"""The end of a stand-in, and what is kept for one that comes back."""

from collections.abc import Sequence

from hsu_worker.master.policy import places
from hsu_worker.master.policy.effects import Effect, Tell
from hsu_worker.master.policy.state import Generation, Phase, State, evolve
from hsu_worker.master.policy.trouble import Restart


def returning(state: State, number: int, within: float) -> State:
    """The stand-in has said that it is about to leave, and comes back."""
    current = places.ready(state, number)
    if current is None or not current.stand_in:
        return state
    return places.put(state, evolve(current, returns=within))


def leaving(state: State, current: Generation, now: float) -> tuple[State, Sequence[Effect]]:
    """The stand-in finishes its calls, and takes no new ones."""
    drained = places.drained(state, current, now, "stand-in", "it is leaving by itself")
    return _given_back(drained, current, now)


def lost(
    state: State, generation: Generation, how: str, now: float, *, force: bool = False
) -> tuple[State, Sequence[Effect]]:
    """The stand-in has ended. Whatever became of it, the unit has not failed."""
    why = how if force else "it has given the place back"
    told: Sequence[Effect] = ()
    if generation is state.current:
        if generation.phase is Phase.READY:
            state, told = _given_back(state, generation, now)
        elif state.kept_until is not None:
            state = evolve(state, kept_until=now + generation.returns)
    effects = list(told)
    return places.stopping(state, generation, effects, "stand-in", why, force=force), effects


def _given_back(state: State, generation: Generation, now: float) -> tuple[State, Sequence[Effect]]:
    number, within = generation.number, generation.returns
    state = evolve(
        state,
        wanted=state.wanted or state.rules.restart is Restart.ALWAYS,
        cause=("restart", f"generation {number} has given the place back"),
    )
    if not within:
        return state, ()
    why = f"generation {number} comes back within {within:g} s; until then calls wait for it"
    return evolve(state, kept_until=now + within), (Tell("backoff", number, "stand-in", why),)
