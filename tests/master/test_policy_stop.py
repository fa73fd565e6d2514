"""Somebody stops, holds or starts a unit, or the master leaves: in every phase."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hsu_worker.master.policy import (
    Arrive,
    Close,
    Effect,
    Event,
    Gone,
    Grant,
    Leave,
    Lost,
    Phase,
    Refuse,
    Release,
    Restart,
    Start,
    Started,
    StartFailed,
    StartWanted,
    State,
    Stop,
    StopAsked,
    Tick,
    Trouble,
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
    after,
    changed,
    does,
    refusal,
    ruled,
)

ASKED = Stop(1, "asked", "somebody asked for it")
LEAVES = Stop(1, "master", "the master leaves")
BACKOFF = replace(ABSENT, waiters=(1, 2), trouble=Trouble(streak=3, retry_at=NOW + 9))


def kinds(effects: Sequence[Effect]) -> list[type[Effect]]:
    return [type(effect) for effect in effects]


@pytest.mark.parametrize(
    ("state", "stop", "hold", "phase", "waiters"),
    [
        # Effects of a stop, of one that holds; the phase after it; who still waits without hold.
        (ABSENT, [], [], Phase.ABSENT, ()),
        (BACKOFF, [Refuse], [Refuse], Phase.ABSENT, ()),
        (STARTING, [ASKED], [ASKED], Phase.STOPPING, ()),
        (WAITED_FOR, [], [Refuse, ASKED], Phase.STARTING, (1, 2)),
        (READY, [ASKED], [ASKED], Phase.STOPPING, ()),
        (BUSY, [], [], Phase.DRAINING, ()),
        (SUSPECT, [ASKED], [ASKED], Phase.STOPPING, ()),
        (replace(BUSY, waiters=(1, 2)), [], [Refuse], Phase.DRAINING, (1, 2)),
        (DRAINING, [], [], Phase.DRAINING, ()),
        (replace(DRAINING, waiters=(1, 2)), [], [Refuse], Phase.DRAINING, (1, 2)),
        (STOPPING, [], [], Phase.STOPPING, ()),
        (WAITED_OUT, [], [Refuse], Phase.STOPPING, (1, 2)),
    ],
)
def test_a_stop_in_every_phase(
    state: State,
    stop: list[object],
    hold: list[object],
    phase: Phase,
    waiters: tuple[int, ...],
) -> None:
    if state.waiters and state.current and state.phase is Phase.READY:
        state = ruled(state, concurrency=2)
    for event, expected in ((StopAsked(), stop), (StopAsked(hold=True), hold)):
        effects = [Refuse if isinstance(each, Refuse) else each for each in does(state, event)]
        assert expected == effects
        stopped = after(state, event)
        assert (event.hold, False) == (stopped.held, stopped.wanted)
        assert (() if event.hold else waiters) == stopped.waiters
    assert phase is after(state, StopAsked()).phase


@pytest.mark.parametrize("state", ALL.values(), ids=ALL)
def test_closing_refuses_who_waits_and_who_comes(state: State) -> None:
    closed, effects = decide(state, Close(), NOW)
    refused = [waiter for each in effects if isinstance(each, Refuse) for waiter in each.waiters]
    assert list(state.waiters) == refused
    assert (True, ()) == (closed.closed, closed.waiters)
    assert closed.phase in (Phase.ABSENT, Phase.DRAINING, Phase.STOPPING)
    assert "unit 'u': the master is leaving" == refusal(closed, Arrive(9))[1].message
    assert [] == does(closed, StartWanted())
    # Nothing comes after it.
    end = after(closed, Tick(), Gone(1), now=NOW + 5)
    assert (Phase.ABSENT, 0, state.last) == (end.phase, end.leases, end.last)
    assert [] == does(end, Tick(), NOW + 3600)


@pytest.mark.parametrize(
    ("state", "stops"),
    [
        (STARTING, [LEAVES]),
        (WAITED_FOR, [LEAVES]),
        (changed(WAITED_FOR, stop_asked=True), [LEAVES]),
        (READY, [LEAVES]),
        (BUSY, []),
        (DRAINING, []),
        (STOPPING, []),
    ],
)
def test_closing_stops_what_is_not_busy(state: State, stops: list[Effect]) -> None:
    assert stops == [each for each in does(state, Close()) if isinstance(each, Stop)]


def test_a_stop_lets_calls_end_and_bounds_them() -> None:
    state = after(BUSY, StopAsked())
    assert NOW + 5 == (state.current and state.current.drain_until)
    assert [] == does(state, Release(1), NOW + 1)
    assert [ASKED] == does(after(state, Release(1)), Release(1), NOW + 2)
    assert [ASKED] == does(state, Tick(), NOW + 5)


def test_a_stop_during_a_start_follows_the_calls_that_wait_for_it() -> None:
    state = after(WAITED_FOR, StopAsked())
    assert [Grant((1, 2), 1)] == does(state, Started(1))
    state = after(state, Started(1))
    assert (Phase.DRAINING, 2) == (state.phase, state.leases)
    state = after(state, Release(1))
    assert [ASKED] == does(state, Release(1))


def test_a_stop_during_a_start_with_no_room_for_all_starts_another_one_for_the_rest() -> None:
    state = after(ruled(WAITED_FOR, concurrency=1), StopAsked())
    assert [Grant((1,), 1)] == does(state, Started(1))
    state = after(state, Started(1), Release(1))
    assert (Phase.STOPPING, (2,)) == (state.phase, state.waiters)
    assert [Start(2, 0, "call", "a call that waited")] == does(state, Gone(1))


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize(
    "events",
    [
        [],
        [Lost(1, "exit code 1")],
        [Lost(1, "exit code 0", clean=True)],
        [Tick()],
        [Release(1), Release(1)],
    ],
)
def test_nothing_overrides_a_stop(hold: bool, events: list[Event]) -> None:
    for state in (BUSY, READY):
        stopped = after(ruled(state, restart=Restart.ALWAYS), StopAsked(hold), *events)
        end = after(stopped, Tick(), Gone(1), now=NOW + 5)
        assert (Phase.HELD if hold else Phase.ABSENT) is end.phase
        assert [] == does(end, Tick(), NOW + 3600)


def test_a_start_that_fails_after_a_stop_is_not_tried_again() -> None:
    state = after(ruled(WAITED_FOR, restart=Restart.ALWAYS), StopAsked())
    state = after(state, StartFailed(1, BROKEN), Gone(1))
    assert (Phase.ABSENT, 1) == (state.phase, state.last)


@pytest.mark.parametrize(
    ("state", "starts", "wanted"),
    [
        (ABSENT, True, False),
        (replace(ABSENT, held=True), True, False),
        (BACKOFF, True, False),
        (STARTING, False, False),
        (READY, False, False),
        (BUSY, False, False),
        # It shall run: another one follows the one that ends.
        (changed(WAITED_FOR, stop_asked=True), False, True),
        (DRAINING, False, True),
        (replace(DRAINING, held=True), False, True),
        (STOPPING, False, True),
    ],
)
def test_a_start_in_every_phase(state: State, starts: bool, wanted: bool) -> None:
    number = state.last + 1
    start = [Start(number, 0, "preload", "its table says `preload = true`")] * starts
    assert start == does(state, StartWanted("preload"))
    started = after(state, StartWanted("preload"))
    assert (wanted, False) == (started.wanted, started.held)


def test_a_start_that_is_wanted_follows_the_end() -> None:
    state = after(BUSY, StopAsked(hold=True), StartWanted("restart"))
    assert "held" != state.phase
    state = after(state, Release(1), Release(1))
    assert [Start(2, 0, "restart", "somebody asked for it")] == does(state, Gone(1))


def test_a_unit_that_is_held_takes_no_call_before_it_is_started() -> None:
    held = after(READY, StopAsked(hold=True), Gone(1))
    assert Phase.HELD is held.phase
    assert [Refuse] == kinds(does(held, Arrive(1)))
    assert [Start] == kinds(does(held, StartWanted()))
    assert [Refuse] == kinds(does(after(held, StopAsked()), Arrive(1)))


def test_a_start_that_is_to_be_stopped_ends_with_the_last_who_waits_for_it() -> None:
    state = after(WAITED_FOR, StopAsked(), Leave(1))
    assert Phase.STARTING is state.phase
    assert [ASKED] == does(state, Leave(2))
