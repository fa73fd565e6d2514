"""Workers of other units need this one: it is started for them, and not stopped for being idle."""

from hsu_worker.master.policy import places, refusals
from hsu_worker.master.policy.events import StartNeeded
from hsu_worker.master.policy.state import State, evolve


def start_needed(state: State, event: StartNeeded, now: float) -> State:
    """It shall run, unless something stands against it: a hold, a backoff, the breaker."""
    if refusals.standing(state, now) is not None or places.comes(state):
        return state
    cause = state.cause if state.waiters or state.wanted else (event.trigger, event.why)
    return evolve(state, wanted=True, cause=cause)


def needed(state: State, count: int, now: float) -> State:
    """So many workers need it; once there are none, its idle time begins."""
    current = state.current
    if state.needed and not count and current is not None:
        state = places.put(state, evolve(current, quiet_since=now))
    return evolve(state, needed=count)
