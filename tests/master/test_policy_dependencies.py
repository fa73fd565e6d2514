"""Workers of other units need one: what that starts, what it keeps, and what it doesn't lift."""

from dataclasses import replace

import pytest

from hsu_worker.master.policy import (
    Close,
    Needed,
    Phase,
    Restart,
    Start,
    StartNeeded,
    State,
    Stop,
    StopAsked,
    Tick,
    Trouble,
    WarmStart,
    decide,
)
from tests.master.states import (
    ABSENT,
    BUSY,
    DRAINING,
    NOW,
    READY,
    STARTING,
    STOPPING,
    after,
    does,
    one,
    ruled,
    with_current,
)

NEEDED = StartNeeded("unit 'a' depends on it")
CAUSE = ("dependency", "unit 'a' depends on it")


def test_it_is_started() -> None:
    assert [Start(1, 0, *CAUSE)] == does(ABSENT, NEEDED)


def test_a_warm_one_serves_again() -> None:
    warm = with_current(one(Phase.WARM, warm_since=NOW - 1), needed=1)
    assert [WarmStart(1, *CAUSE)] == does(ruled(warm, warm=60.0), NEEDED)


@pytest.mark.parametrize("state", [STARTING, READY, BUSY])
def test_one_that_is_there_or_comes_is_left_alone(state: State) -> None:
    assert [] == does(state, NEEDED)
    assert not after(state, NEEDED).wanted


@pytest.mark.parametrize("state", [DRAINING, STOPPING])
def test_behind_one_that_is_on_its_way_out_the_next_is_started(state: State) -> None:
    assert after(state, NEEDED).wanted


@pytest.mark.parametrize(
    "state",
    [
        after(ABSENT, StopAsked(hold=True)),
        after(ABSENT, Close()),
        replace(ABSENT, trouble=Trouble(open=True, retry_at=NOW + 5, failures=(NOW,))),
    ],
    ids=["held", "closed", "faulted"],
)
def test_what_stands_against_a_call_stands_against_it_too(state: State) -> None:
    assert state == after(state, NEEDED)


def test_it_waits_for_the_end_of_a_backoff() -> None:
    waits = after(replace(ABSENT, trouble=Trouble(streak=2, retry_at=NOW + 5)), NEEDED)
    assert (Phase.BACKOFF, True) == (waits.phase, waits.wanted)
    assert [Start(1, 0, *CAUSE)] == does(waits, Tick(), NOW + 5)


def test_it_does_not_idle_while_it_is_needed_and_then_for_as_long_as_ever() -> None:
    needed = after(READY, Needed(1))
    assert ([], needed) == (does(needed, Tick(), NOW + 1000), after(needed, Tick(), now=NOW + 1000))
    freed = after(needed, Needed(0), now=NOW + 1000)
    assert [] == does(freed, Tick(), NOW + 1009)
    assert [Stop(1, "idle", "not called for 10 s")] == does(freed, Tick(), NOW + 1010)


def test_while_somebody_needs_it_the_end_of_another_need_changes_nothing() -> None:
    needed = after(READY, Needed(2), Needed(1))
    assert [] == does(needed, Tick(), NOW + 1000)


@pytest.mark.parametrize("restart", list(Restart))
def test_a_need_alone_starts_nothing(restart: Restart) -> None:
    state, effects = decide(ruled(ABSENT, restart=restart), Needed(1), NOW)
    assert ([], 1) == (list(effects), state.needed)
