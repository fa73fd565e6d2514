"""The decision: first the event is taken down as a fact, then everything is planned anew.

No step waits for one named outcome. Whatever happened, `plan` looks at the whole state and says
what has to be done now.
"""

from hsu_worker.master.policy import note, plan
from hsu_worker.master.policy.effects import Grant
from hsu_worker.master.policy.events import Arrive, Event
from hsu_worker.master.policy.note import Decision
from hsu_worker.master.policy.state import State


def decide(state: State, event: Event, now: float) -> Decision:
    """The next state, and what has to be done for it."""
    noted, effects = note.note(state, event, now)
    if isinstance(event, Arrive) and effects and isinstance(effects[0], Grant):
        # One more lease changes nothing that was planned before, and each call comes by.
        return noted, effects
    planned = list(effects)
    return plan.plan(noted, now, planned), planned
