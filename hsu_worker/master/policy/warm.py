"""A worker that nobody calls leaves its lifespans first, and its process ends later, or serves again.

Whatever goes wrong with it meanwhile is no failure of the unit: its process is ended, and those who
wait get a new one.
"""

from collections.abc import Sequence

from hsu_worker.master.policy import places
from hsu_worker.master.policy.effects import Effect, Tell, WarmStart, WarmStop
from hsu_worker.master.policy.state import Generation, Phase, State, evolve


def stops(state: State, current: Generation) -> bool:
    """Whether its process stays when it has idled; one that is to be replaced would come back."""
    replaced = state.renew or current.spec != state.spec
    return state.rules.warm is not None and not (current.suspect or replaced)


def stop(state: State, current: Generation, now: float, effects: list[Effect], why: str) -> State:
    """Let it leave its lifespans."""
    state = places.served(state, current, now)
    effects.append(WarmStop(current.number))
    leaving = evolve(current, phase=Phase.WARM, warm_since=None, trigger="idle", why=why)
    return places.put(state, leaving)


def stopped(state: State, number: int, now: float) -> tuple[State, Sequence[Effect]]:
    """It has left them; or an adopted one is found so."""
    current = state.current
    if current is None or current.number != number:
        return state, ()
    if current.phase is Phase.STARTING and not current.resumes:
        why = "it was adopted with its lifespans left"
        current = evolve(current, phase=Phase.WARM, trigger="adopt", why=why)
    if current.phase is not Phase.WARM:
        return state, ()
    told = Tell("warm", number, current.trigger, current.why)
    return places.put(state, evolve(current, warm_since=now)), (told,)


def plan(
    state: State, current: Generation, now: float, effects: list[Effect], wake: list[float]
) -> State:
    """What has to be done with it: nothing before it has left its lifespans."""
    since, warm = current.warm_since, state.rules.warm
    if since is None:
        return state
    if state.waiters or state.wanted:
        effects.append(WarmStart(current.number, *places.cause(state)))
        started = evolve(current, phase=Phase.STARTING, resumes=True)
        return evolve(state, current=started, wanted=False, cause=places.WAITED)
    if warm is None:
        why = "hsu.toml has no `warm` for it any more"
        return places.stopping(state, current, effects, "reload", why)
    if now >= since + warm:
        why = f"not called for {warm:g} s after its warm stop"
        return places.stopping(state, current, effects, "idle", why)
    wake.append(since + warm)
    return state


def is_warm(generation: Generation) -> bool:
    """It leaves its lifespans, has left them, or enters them again."""
    return generation.phase is Phase.WARM or (
        generation.phase is Phase.STARTING and generation.resumes
    )


def failed(
    state: State, generation: Generation, trigger: str, why: str, *, force: bool = False
) -> tuple[State, Sequence[Effect]]:
    """Its process is of no use any more; a start that was under way goes on with a new one."""
    effects: list[Effect] = []
    if generation.resumes:
        wanted = state.wanted or not generation.stop_asked
        state = evolve(state, wanted=wanted, cause=("restart", f"its warm start failed: {why}"))
    return places.stopping(state, generation, effects, trigger, why, force=force), effects
