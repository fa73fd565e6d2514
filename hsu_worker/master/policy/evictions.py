"""Another unit needs what a worker takes: memory, or the place in a group."""

from collections.abc import Sequence
from typing import Final

from hsu_worker.errors import RpcError
from hsu_worker.master.policy import places
from hsu_worker.master.policy.effects import Effect
from hsu_worker.master.policy.events import Evict
from hsu_worker.master.policy.state import Generation, Phase, State, evolve

_TRIGGER: Final = "evicted"


def evicted(state: State, event: Evict, now: float) -> tuple[State, Sequence[Effect]]:
    """Let the worker go, if nobody uses it now: a call that came in the same moment wins."""
    current = state.current
    if current is None or current.number != event.generation or current.stand_in:
        return state, ()
    warm = current.phase is Phase.WARM and current.warm_since is not None
    if not (warm or current.phase is Phase.READY):
        return state, ()
    if not (current.leases or state.waiters or state.needed):
        state = places.served(state, current, now)
        effects: list[Effect] = []
        return places.stopping(state, current, effects, _TRIGGER, event.why), effects
    if event.drain and not warm:
        return places.drained(state, current, now, _TRIGGER, event.why), ()
    return state, ()


def tries_again(state: State, generation: Generation) -> bool:
    """Whether its start is tried once more where memory runs out: not that of a swap, nor what nobody wants."""
    stopped = generation.stop_asked or state.held or state.closed
    return generation is state.current and not stopped


def tried_again(
    state: State, generation: Generation, error: RpcError, why: str
) -> tuple[State, Sequence[Effect]]:
    """The start has failed for want of memory, and is tried once more when nothing is left of it."""
    effects: list[Effect] = []
    state = evolve(state, wanted=True, cause=("memory", why))
    return places.stopping(state, generation, effects, "start", error.message), effects
