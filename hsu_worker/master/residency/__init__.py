"""Who may be resident where not everybody can: one per exclusive group, and as many as memory holds.

Pure functions, as the policy of a unit is: nothing here waits, spawns or signals. It decides over all
units of a master; whether a unit lets its worker go is the unit's own to decide.

    ledger = Ledger(seen)
    state, effects = decide(state, Ask(Tenant("summarizer", 1)), ledger, now)    # effects: [Admit(...)]
"""

from hsu_worker.master.residency.decide import decide
from hsu_worker.master.residency.events import (
    Admit,
    Ask,
    Configured,
    Effect,
    Event,
    Evict,
    Left,
    Look,
    RanShort,
    Ready,
    Refuse,
    Retry,
    Tell,
    Wake,
    Weighed,
)
from hsu_worker.master.residency.ledger import Ledger
from hsu_worker.master.residency.state import Member, Pool, Rules, State, Tenant, Use

__all__ = [
    "Admit",
    "Ask",
    "Configured",
    "Effect",
    "Event",
    "Evict",
    "Ledger",
    "Left",
    "Look",
    "Member",
    "Pool",
    "RanShort",
    "Ready",
    "Refuse",
    "Retry",
    "Rules",
    "State",
    "Tell",
    "Tenant",
    "Use",
    "Wake",
    "Weighed",
    "decide",
]
