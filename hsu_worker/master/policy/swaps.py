"""Another worker takes the place of the one that serves: an implementation, or a stand-in."""

from collections.abc import Sequence

from hsu_worker.errors import FailedPrecondition, RpcError
from hsu_worker.master.policy import places
from hsu_worker.master.policy.effects import Effect, Start, SwapEnded, Tell
from hsu_worker.master.policy.state import Generation, Phase, State, evolve
from hsu_worker.master.policy.trouble import Trouble


def asked(
    state: State, spec: int, *, stand_in: bool = False, why: str = "somebody asked for it"
) -> tuple[State, Sequence[Effect]]:
    """Start a candidate, unless something stands against it."""
    current = state.current
    refusal = ""
    if state.closed:
        refusal = "it is no longer in hsu.toml" if state.removed else "the master is leaving"
    elif state.candidate is not None or state.retiring is not None:
        refusal = "a swap is under way; try again when it has ended"
    elif stand_in and state.held:
        refusal = f"somebody stopped it; `hsu-worker start {state.rules.unit}` first"
    elif stand_in and current is not None and current.stand_in and current.phase is Phase.READY:
        refusal = "another worker stands in for it already"
    if refusal:
        error = FailedPrecondition(f"unit {state.rules.unit!r}: {refusal}")
        return state, (SwapEnded(0, error),)
    number = state.last + 1
    candidate = Generation(number=number, spec=spec, stand_in=stand_in)
    return evolve(state, candidate=candidate, last=number), (
        Start(number, spec, _trigger(candidate), why),
    )


def flipped(state: State, ready: Generation, now: float) -> tuple[State, Sequence[Effect]]:
    """The candidate is ready: calls go to it, and the one that served finishes those it has."""
    number, trigger = ready.number, _trigger(ready)
    old = state.current
    if old is not None and old.phase is Phase.READY and not ready.stand_in and not old.leases:
        # Nobody has called meanwhile: it idles for as long as the one before it.
        ready = evolve(ready, quiet_since=old.quiet_since)
    effects: list[Effect] = []
    if state.held:
        # It is fit to take the place, and the place stays empty.
        fit = evolve(state, spec=ready.spec, trouble=Trouble())
        return places.stopping(fit, ready, effects, "swap", "the unit is held"), effects
    state = evolve(
        state,
        current=ready,
        candidate=None,
        # What comes after a stand-in is what was there before it.
        spec=state.spec if ready.stand_in else ready.spec,
        kept_until=None,
        # That was about the old one.
        renew="",
        trouble=Trouble(),
    )
    told = Tell("swapped", number, trigger, f"calls go to generation {number}")
    if old is None:
        return state, (told, SwapEnded(number, None))
    why = f"generation {number} has taken its place"
    effects.append(told)
    state = evolve(state, retiring=old)
    if old.serves:
        state = places.drained(state, old, now, trigger, why)
    elif old.phase is not Phase.STOPPING:
        state = places.stopping(state, old, effects, trigger, why)
    return state, effects


def start_failed(
    state: State, candidate: Generation, error: RpcError
) -> tuple[State, Sequence[Effect]]:
    """The candidate won't come: the one that serves goes on."""
    effects: list[Effect] = []
    state = places.stopping(state, candidate, effects, "start", error.message)
    what = "it can't stand in" if candidate.stand_in else "the swap failed, and nothing has changed"
    return failed(
        state, candidate, FailedPrecondition(f"{what}: {error.message}"), effects
    ), effects


def failed(state: State, candidate: Generation, error: RpcError, effects: list[Effect]) -> State:
    """Tell why the candidate doesn't take the place; it is being ended."""
    effects.append(Tell("swap failed", candidate.number, _trigger(candidate), error.message))
    return evolve(state, swap_error=error)


def _trigger(candidate: Generation) -> str:
    return "stand-in" if candidate.stand_in else "swap"
