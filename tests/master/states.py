"""States of a unit, as the tables of the policy's tests begin with them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hsu_worker.errors import RpcError, StartError
from hsu_worker.master.policy import (
    Effect,
    Event,
    Generation,
    Phase,
    Refuse,
    Rules,
    State,
    Tell,
    Wake,
    decide,
)

NOW = 100.0
RULES = Rules(unit="u", queue=2, idle=10.0, drain=5.0)
BROKEN = StartError("it is broken")
ASKED = ("asked", "somebody asked for it")

#: Why the next start, when nobody has told.
WAITED = ("call", "a call that waited")


def one(phase: Phase, number: int = 1, **facts: Any) -> Generation:
    """A generation in a phase: ready since 90 s, quiet since 95 s, draining until 105 s."""
    defaults: dict[str, Any] = {}
    if phase is not Phase.STARTING:
        defaults = {"since": 90.0, "quiet_since": 95.0}
    if phase is Phase.DRAINING:
        defaults |= {"leases": 2, "drain_until": NOW + 5, "trigger": "asked", "why": ASKED[1]}
    return Generation(number=number, phase=phase, **(defaults | facts))


def with_current(current: Generation, **facts: Any) -> State:
    return State(rules=RULES, last=current.number, current=current, cause=WAITED, **facts)


ABSENT = State(rules=RULES)
STARTING = with_current(one(Phase.STARTING))
WAITED_FOR = replace(STARTING, waiters=(1, 2))
READY = with_current(one(Phase.READY))
BUSY = with_current(one(Phase.READY, leases=2))
SUSPECT = with_current(one(Phase.READY, suspect=True))
DRAINING = with_current(one(Phase.DRAINING))
STOPPING = with_current(one(Phase.STOPPING))
WAITED_OUT = replace(STOPPING, waiters=(1, 2))

ALL = {
    "absent": ABSENT,
    "starting": STARTING,
    "waited for": WAITED_FOR,
    "ready": READY,
    "busy": BUSY,
    "suspect": SUSPECT,
    "draining": DRAINING,
    "stopping": STOPPING,
    "waited out": WAITED_OUT,
}


def ruled(state: State, **rules: Any) -> State:
    return replace(state, rules=replace(state.rules, **rules))


def changed(state: State, **facts: Any) -> State:
    """The state with other facts of its current generation."""
    assert state.current is not None
    return replace(state, current=replace(state.current, **facts))


def check(
    state: State, event: Event, after: State, effects: Sequence[Effect], now: float = NOW
) -> None:
    """One row; what a start is caused by is in its effect, and not compared twice."""
    decided, done = decide(state, event, now)
    assert list(effects) == list(done)
    assert replace(after, cause=WAITED) == replace(decided, cause=WAITED)


def does(state: State, event: Event, now: float = NOW) -> list[Effect]:
    """What is done, without timers and tales."""
    _, effects = decide(state, event, now)
    return [effect for effect in effects if not isinstance(effect, Wake | Tell)]


def after(state: State, *events: Event, now: float = NOW) -> State:
    """The state behind some events."""
    for event in events:
        state, _ = decide(state, event, now)
    return state


def refusal(state: State, event: Event, now: float = NOW) -> tuple[tuple[int, ...], RpcError]:
    """Who is refused, and with what."""
    _, effects = decide(state, event, now)
    [refused] = [effect for effect in effects if isinstance(effect, Refuse)]
    return refused.waiters, refused.error
