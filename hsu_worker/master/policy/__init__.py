"""What a unit does next: pure functions from (state, event, now) to (state, effects).

Nothing here waits, spawns or signals, so that a simulator can run the same code under a clock of
its own. Times are seconds of a monotonic clock. What names a generation that is no longer there
is stale and changes nothing.

    state, effects = decide(State(rules=rules), Arrive(waiter=1), now)    # effects: [Start(1, ...)]
"""

from hsu_worker.master.policy.calls import given_back, lent
from hsu_worker.master.policy.decide import decide
from hsu_worker.master.policy.effects import (
    Effect,
    Grant,
    Probe,
    Refuse,
    Start,
    Stop,
    SwapEnded,
    Tell,
    Wake,
    WarmStart,
    WarmStop,
)
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
from hsu_worker.master.policy.note import Decision
from hsu_worker.master.policy.state import Generation, Phase, State
from hsu_worker.master.policy.trouble import Restart, Rules, Trouble

__all__ = [
    "Alive",
    "Arrive",
    "Close",
    "Decision",
    "Effect",
    "Event",
    "Evict",
    "Generation",
    "Gone",
    "Grant",
    "Leave",
    "Leaving",
    "Lost",
    "Needed",
    "Numbered",
    "Outgrown",
    "Phase",
    "Probe",
    "Reconfigured",
    "Refuse",
    "Release",
    "Restart",
    "Returning",
    "Rules",
    "StandInAsked",
    "Start",
    "StartFailed",
    "StartNeeded",
    "StartWanted",
    "Started",
    "State",
    "Stop",
    "StopAsked",
    "Suspect",
    "SwapAsked",
    "SwapEnded",
    "Tell",
    "Tick",
    "Trouble",
    "Unresponsive",
    "Wake",
    "Warm",
    "WarmFailed",
    "WarmStart",
    "WarmStop",
    "decide",
    "given_back",
    "lent",
]
