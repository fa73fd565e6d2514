"""Callers: who gets a lease, and who waits; and the idle stop."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hsu_worker.master.policy import (
    Alive,
    Arrive,
    Effect,
    Event,
    Gone,
    Grant,
    Leave,
    Leaving,
    Lost,
    Phase,
    Probe,
    Release,
    Start,
    Started,
    StartFailed,
    State,
    Stop,
    Suspect,
    Tick,
    Unresponsive,
    Wake,
    decide,
)
from tests.master.states import (
    ABSENT,
    ALL,
    BROKEN,
    BUSY,
    DRAINING,
    NOW,
    READY,
    STARTING,
    STOPPING,
    SUSPECT,
    WAITED_FOR,
    WAITED_OUT,
    changed,
    check,
    does,
    ruled,
)

IDLE = Stop(1, "idle", "not called for 10 s")
FULL = ruled(BUSY, concurrency=2)


@pytest.mark.parametrize(
    ("state", "event", "after", "effects"),
    [
        # They come.
        (
            ABSENT,
            Arrive(1, "GetA"),
            replace(STARTING, waiters=(1,)),
            [Start(1, 0, "call", "GetA")],
        ),
        (STARTING, Arrive(1), replace(STARTING, waiters=(1,)), []),
        (READY, Arrive(1), changed(READY, leases=1), [Grant((1,), 1)]),
        (BUSY, Arrive(1), changed(BUSY, leases=3), [Grant((1,), 1)]),
        (FULL, Arrive(1), replace(FULL, waiters=(1,)), []),
        (SUSPECT, Arrive(1), replace(SUSPECT, waiters=(1,)), []),
        # One that came back to the unit waits for anything but room.
        (BUSY, Arrive(1, cycle="u → u"), changed(BUSY, leases=3), [Grant((1,), 1)]),
        (STARTING, Arrive(1, cycle="u → u"), replace(STARTING, waiters=(1,)), []),
        (SUSPECT, Arrive(1, cycle="u → u"), replace(SUSPECT, waiters=(1,)), []),
        (STOPPING, Arrive(1, cycle="u → u"), replace(STOPPING, waiters=(1,)), []),
        (DRAINING, Arrive(1), replace(DRAINING, waiters=(1,)), [Wake(NOW + 5)]),
        (STOPPING, Arrive(1), replace(STOPPING, waiters=(1,)), []),
        # In turn: nobody overtakes those who wait.
        (
            ruled(replace(READY, waiters=(1,)), concurrency=2),
            Arrive(2),
            ruled(changed(READY, leases=2), concurrency=2),
            [Grant((1, 2), 1)],
        ),
        # They go.
        (WAITED_FOR, Leave(1), replace(WAITED_FOR, waiters=(2,)), []),
        (replace(STARTING, waiters=(1,)), Leave(1), STARTING, []),
        (WAITED_FOR, Leave(7), WAITED_FOR, []),
        (replace(FULL, waiters=(1, 2)), Leave(1), replace(FULL, waiters=(2,)), []),
        # The start ends.
        (
            WAITED_FOR,
            Started(1),
            changed(BUSY, since=NOW, quiet_since=NOW),
            [Grant((1, 2), 1)],
        ),
        (
            ruled(WAITED_FOR, concurrency=1),
            Started(1),
            ruled(
                replace(changed(READY, since=NOW, quiet_since=NOW, leases=1), waiters=(2,)),
                concurrency=1,
            ),
            [Grant((1,), 1)],
        ),
        (STARTING, Started(1), changed(READY, since=NOW, quiet_since=NOW), [Wake(NOW + 10)]),
        (
            ruled(STARTING, idle=None),
            Started(1),
            ruled(changed(READY, since=NOW, quiet_since=NOW), idle=None),
            [],
        ),
        # Leases end.
        (BUSY, Release(1), changed(BUSY, leases=1, quiet_since=NOW), []),
        (
            changed(BUSY, leases=1),
            Release(1),
            changed(READY, quiet_since=NOW),
            [Wake(NOW + 10)],
        ),
        (
            replace(FULL, waiters=(7, 8)),
            Release(1),
            replace(changed(FULL, quiet_since=NOW), waiters=(8,)),
            [Grant((7,), 1)],
        ),
        (DRAINING, Release(1), changed(DRAINING, leases=1, quiet_since=NOW), [Wake(NOW + 5)]),
        (
            changed(DRAINING, leases=1),
            Release(1),
            changed(DRAINING, phase=Phase.STOPPING, leases=0, quiet_since=NOW),
            [Stop(1, "asked", "somebody asked for it")],
        ),
        (STOPPING, Release(1), STOPPING, []),
        # Time passes.
        (READY, Tick(), READY, [Wake(105.0)]),
        (changed(READY, quiet_since=90.1), Tick(), changed(READY, quiet_since=90.1), [Wake(100.1)]),
        (changed(READY, quiet_since=90.0), Tick(), changed(STOPPING, quiet_since=90.0), [IDLE]),
        (
            changed(READY, quiet_since=90.0),
            Arrive(1),
            changed(BUSY, leases=1, quiet_since=90.0),
            [Grant((1,), 1)],
        ),
        (changed(BUSY, quiet_since=0.0), Tick(), changed(BUSY, quiet_since=0.0), []),
        (ruled(READY, idle=None), Tick(), ruled(READY, idle=None), []),
        (ABSENT, Tick(), ABSENT, []),
        (STARTING, Tick(), STARTING, []),
        (STOPPING, Tick(), STOPPING, []),
        (DRAINING, Tick(), DRAINING, [Wake(NOW + 5)]),
        (
            changed(DRAINING, drain_until=NOW),
            Tick(),
            changed(DRAINING, phase=Phase.STOPPING, leases=0, drain_until=NOW),
            [Stop(1, "asked", "somebody asked for it")],
        ),
        # Nothing is left of a worker.
        (STOPPING, Gone(1), replace(ABSENT, last=1), []),
        (
            WAITED_OUT,
            Gone(1),
            replace(WAITED_FOR, last=2, current=replace(WAITED_FOR.current, number=2)),  # type: ignore[type-var]
            [Start(2, 0, "call", "a call that waited and 1 more")],
        ),
        # A call could not be delivered.
        (BUSY, Suspect(1), changed(BUSY, suspect=True), [Probe(1)]),
        (SUSPECT, Suspect(1), SUSPECT, [Wake(105.0)]),
        (
            replace(SUSPECT, waiters=(7,)),
            Alive(1),
            changed(READY, leases=1),
            [Grant((7,), 1)],
        ),
        (
            changed(SUSPECT, leases=1),
            Leaving(1),
            changed(DRAINING, leases=1, trigger="exit", why="it is leaving by itself"),
            [Wake(NOW + 5)],
        ),
        (
            SUSPECT,
            Leaving(1),
            changed(
                DRAINING,
                phase=Phase.STOPPING,
                leases=0,
                trigger="exit",
                why="it is leaving by itself",
            ),
            [Stop(1, "exit", "it is leaving by itself")],
        ),
    ],
)
def test_a_transition(state: State, event: Event, after: State, effects: list[Effect]) -> None:
    check(state, event, after, effects)


def test_the_record_of_a_start_tells_who_caused_it() -> None:
    state, _ = decide(STOPPING, Arrive(1, "GetA"), NOW)
    state, _ = decide(state, Arrive(2, "GetB"), NOW)
    assert [Start(2, 0, "call", "GetA and 1 more")] == does(state, Gone(1))


def test_only_a_suspect_that_answers_nothing_is_killed() -> None:
    waited_for = replace(SUSPECT, waiters=(7,))
    stop = Stop(1, "liveness", "it does not answer", force=True)
    assert [stop] == does(waited_for, Unresponsive(1))
    state, _ = decide(waited_for, Unresponsive(1), NOW)
    assert (7,) == state.waiters
    assert [Start(2, 0, "restart", "generation 1 ended: it does not answer")] == does(
        state, Gone(1)
    )


@pytest.mark.parametrize("state", ALL.values(), ids=ALL)
@pytest.mark.parametrize(
    "stale",
    [
        [Release(0), Release(2)],
        [Started(0), Started(2)],
        [StartFailed(0, BROKEN), StartFailed(2, BROKEN)],
        [Lost(0), Lost(2)],
        [Unresponsive(0), Unresponsive(2)],
        [Suspect(0), Suspect(2)],
        [Alive(0), Alive(2)],
        [Leaving(0), Leaving(2)],
        [Gone(0), Gone(2)],
    ],
    ids=lambda events: type(events[0]).__name__,
)
def test_events_of_other_generations_change_nothing(state: State, stale: Sequence[Event]) -> None:
    for event in stale:
        assert state == decide(state, event, NOW)[0]
        assert [] == does(state, event)


@pytest.mark.parametrize(
    ("event", "phases"),
    [
        (Started(1), {Phase.STARTING}),
        (StartFailed(1, BROKEN), {Phase.STARTING}),
        (Lost(1), {Phase.READY, Phase.DRAINING}),
        (Unresponsive(1), {Phase.READY, Phase.DRAINING}),
        (Suspect(1), {Phase.READY}),
        (Alive(1), {Phase.READY}),
        (Leaving(1), {Phase.READY}),
        (Gone(1), {Phase.STOPPING}),
    ],
)
def test_events_that_come_too_late_change_nothing(event: Event, phases: set[Phase]) -> None:
    checked = 0
    for state in (replace(ABSENT, last=1), STARTING, BUSY, DRAINING, STOPPING):
        if state.phase not in phases:
            assert state == decide(state, event, NOW)[0]
            assert [] == does(state, event)
            checked += 1
    assert checked >= 3
