"""The decision: first the event is taken down as a fact, then everything is planned anew.

No step waits for one named outcome. Whatever happened, `plan` looks at the whole state and says
what has to be done now.
"""

from math import inf

from hsu_worker.master.policy import calls, note, plan
from hsu_worker.master.policy.effects import Grant, Wake
from hsu_worker.master.policy.events import Arrive, Event, Release
from hsu_worker.master.policy.note import Decision
from hsu_worker.master.policy.state import State


def decide(state: State, event: Event, now: float) -> Decision:
    """The next state, and what has to be done for it."""
    match event:
        case Arrive(waiter) if (lent := calls.lent(state)) is not None:
            leased, number = lent
            return leased, (Grant((waiter,), number),)
        case Release(number) if (back := calls.given_back(state, number, now)) is not None:
            left, at = back
            return left, () if at == inf else (Wake(at),)
        case _:
            pass
    noted, effects = note.note(state, event, now)
    planned = list(effects)
    return plan.plan(noted, now, planned), planned
