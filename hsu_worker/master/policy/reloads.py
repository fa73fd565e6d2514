"""The table of a unit in `hsu.toml` has changed while the master runs."""

from collections.abc import Sequence
from typing import Final

from hsu_worker.errors import FailedPrecondition
from hsu_worker.master.policy import places, swaps
from hsu_worker.master.policy.effects import Effect
from hsu_worker.master.policy.events import Reconfigured
from hsu_worker.master.policy.state import Phase, State, evolve
from hsu_worker.master.policy.trouble import Trouble

_TRIGGER: Final = "reload"
_WHY: Final = "its table in hsu.toml has changed"


def reconfigured(state: State, event: Reconfigured) -> tuple[State, Sequence[Effect]]:
    """The rules hold at once; a worker that is launched otherwise than it should be is replaced.

    The next one is started beside one that serves, and takes its place as in a swap; should it fail,
    the old one serves until it is stopped. A stand-in stays, for it was not launched by the table.
    """
    state = evolve(state, rules=event.rules)
    if event.spec is None:
        return state, ()
    effects: list[Effect] = []
    # What failed was launched in another way.
    state = evolve(state, spec=event.spec, trouble=Trouble())
    candidate = state.candidate
    if candidate is not None and candidate.phase is Phase.STARTING and not candidate.stand_in:
        state = places.stopping(state, candidate, effects, _TRIGGER, _WHY)
        error = FailedPrecondition(f"unit {state.rules.unit!r}: {_WHY} during the swap")
        state = swaps.failed(state, candidate, error, effects)
    current = state.current
    if current is None or current.stand_in or current.phase in (Phase.DRAINING, Phase.STOPPING):
        return state, effects
    if current.phase is Phase.READY:
        return evolve(state, renew=_WHY), effects
    if current.phase is Phase.STARTING:
        wanted = not (state.held or current.stop_asked)
        state = evolve(state, wanted=wanted, cause=(_TRIGGER, _WHY))
    return places.stopping(state, current, effects, _TRIGGER, _WHY), effects


def outgrown(state: State, number: int, how: str, now: float) -> State:
    """Let another worker take the place of one that is too large.

    Not again within `healthy`: where the next one is as large from its start, or doesn't come up, that is
    no reason to start one at each look.
    """
    current = places.ready(state, number)
    if current is None or current.stand_in or state.closed or state.renew:
        return state
    if now < max(current.since, current.outgrown) + state.rules.healthy:
        return state
    return evolve(places.put(state, evolve(current, outgrown=now)), renew=how)
