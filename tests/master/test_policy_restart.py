"""What follows a worker that ends by itself, or won't start: restart, backoff, breaker."""

from dataclasses import replace
from math import inf
from typing import Literal, TypeAlias

import pytest

from hsu_worker.master.policy import (
    Alive,
    Arrive,
    Event,
    Gone,
    Leaving,
    Lost,
    Phase,
    Refuse,
    Release,
    Restart,
    Rules,
    Start,
    Started,
    StartFailed,
    StartWanted,
    State,
    Stop,
    StopAsked,
    Tell,
    Tick,
    Trouble,
    Unresponsive,
    Wake,
    decide,
)
from tests.master.states import (
    ABSENT,
    BROKEN,
    BUSY,
    DRAINING,
    NOW,
    READY,
    RULES,
    STARTING,
    SUSPECT,
    WAITED_FOR,
    after,
    changed,
    does,
    refusal,
    ruled,
)

Next: TypeAlias = Literal["start", "nothing", "refuse"]

ON_DEMAND, ON_FAILURE, ALWAYS, NEVER = (
    Restart.ON_DEMAND,
    Restart.ON_FAILURE,
    Restart.ALWAYS,
    Restart.NEVER,
)
CLEAN = Lost(1, "exit code 0", clean=True)
CRASH = Lost(1, "exit code 1")
STUCK = Unresponsive(1)
FAILED = StartFailed(1, BROKEN)


@pytest.mark.parametrize(
    ("restart", "before", "event", "follows", "next_call"),
    [
        (ON_DEMAND, READY, CLEAN, "nothing", "start"),
        (ON_DEMAND, READY, CRASH, "nothing", "start"),
        (ON_DEMAND, READY, STUCK, "nothing", "start"),
        (ON_DEMAND, READY, Leaving(1), "nothing", "start"),
        (ON_DEMAND, STARTING, FAILED, "nothing", "start"),
        (ON_FAILURE, READY, CLEAN, "nothing", "start"),
        (ON_FAILURE, READY, CRASH, "start", None),
        (ON_FAILURE, READY, STUCK, "start", None),
        (ON_FAILURE, READY, Leaving(1), "nothing", "start"),
        (ON_FAILURE, STARTING, FAILED, "start", None),
        (ALWAYS, READY, CLEAN, "start", None),
        (ALWAYS, READY, CRASH, "start", None),
        (ALWAYS, READY, STUCK, "start", None),
        (ALWAYS, READY, Leaving(1), "start", None),
        (ALWAYS, STARTING, FAILED, "start", None),
        (NEVER, READY, CLEAN, "nothing", "start"),
        (NEVER, READY, CRASH, "nothing", "refuse"),
        (NEVER, READY, STUCK, "nothing", "refuse"),
        (NEVER, READY, Leaving(1), "nothing", "start"),
        (NEVER, STARTING, FAILED, "nothing", "refuse"),
        # What was to end anyway is not replaced.
        (ALWAYS, DRAINING, CRASH, "nothing", "start"),
        (ON_FAILURE, DRAINING, CRASH, "nothing", "start"),
        (ALWAYS, changed(STARTING, stop_asked=True), FAILED, "nothing", "start"),
    ],
)
def test_what_follows_an_end(
    restart: Restart, before: State, event: Event, follows: Next, next_call: Next | None
) -> None:
    state = after(ruled(before, restart=restart), event)
    assert Phase.STOPPING is state.phase
    kinds = {"start": [Start], "nothing": [], "refuse": [Refuse]}
    assert kinds[follows] == [type(effect) for effect in does(state, Gone(1))]
    state = after(state, Gone(1))
    if next_call is not None:
        assert kinds[next_call] == [type(effect) for effect in does(state, Arrive(9))]


@pytest.mark.parametrize(
    ("state", "event", "stop"),
    [
        (BUSY, CRASH, Stop(1, "exit", "exit code 1")),
        (BUSY, CLEAN, Stop(1, "exit", "exit code 0")),
        (BUSY, STUCK, Stop(1, "liveness", "it does not answer", force=True)),
        (DRAINING, CRASH, Stop(1, "exit", "exit code 1")),
        (DRAINING, STUCK, Stop(1, "liveness", "it does not answer", force=True)),
        (STARTING, FAILED, Stop(1, "start", "it is broken")),
    ],
)
def test_what_is_left_of_it_is_removed(state: State, event: Event, stop: Stop) -> None:
    assert [stop] == does(state, event)


def test_those_who_wait_get_the_next_one() -> None:
    full = replace(ruled(BUSY, concurrency=2), waiters=(7, 8))
    state = after(full, CRASH)
    assert (7, 8) == state.waiters
    assert [Start(2, 0, "restart", "generation 1 ended: exit code 1")] == does(state, Gone(1))


def test_the_start_behind_a_failed_one_tells_why() -> None:
    state = after(ruled(WAITED_FOR, restart=ALWAYS), FAILED)
    assert [Start(2, 0, "restart", "its start failed")] == does(state, Gone(1))


@pytest.mark.parametrize("draw", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(
    ("failures", "bound"),
    [(1, 0.0), (2, 0.5), (3, 1.0), (4, 2.0), (7, 16.0), (8, 30.0), (9, 30.0), (5000, 30.0)],
)
def test_a_delay_is_anything_below_a_bound_that_doubles(
    failures: int, bound: float, draw: float
) -> None:
    rules = Rules(unit="u", breaker=10_000)
    trouble = Trouble()
    for _ in range(failures):
        trouble = trouble.after_failure(rules, "x", NOW, draw)
    assert NOW + draw * bound == trouble.retry_at
    assert (failures, False) == (trouble.streak, trouble.open)


AGAIN = State(rules=replace(RULES, restart=ALWAYS, breaker=3, breaker_window=60.0, idle=None))


def crash(state: State, now: float, draw: float = 0.0) -> State:
    """The worker comes, serves, crashes and is gone, in one instant."""
    assert state.current is not None
    number = state.current.number
    lost = Lost(number, "exit code 1", draw=draw)
    return after(state, Started(number), lost, Gone(number), now=now)


def test_the_first_crash_is_followed_at_once_the_second_after_a_delay() -> None:
    state = after(AGAIN, StartWanted(), now=NOW)
    state = crash(state, NOW, draw=1.0)
    assert (2, Phase.STARTING) == (state.last, state.phase)
    state = crash(state, NOW, draw=0.5)
    assert (2, Phase.BACKOFF) == (state.last, state.phase)
    assert [Wake(NOW + 0.25)] == decide(state, Tick(), NOW + 0.2)[1]
    start = Start(3, 0, "restart", "generation 2 ended: exit code 1")
    assert [start] == does(state, Tick(), NOW + 0.25)


def test_a_caller_waits_for_the_end_of_a_backoff() -> None:
    on_demand = replace(ABSENT, trouble=Trouble(streak=2, retry_at=NOW + 3))
    state, effects = decide(on_demand, Arrive(1, "GetA"), NOW)
    assert ((1,), [Wake(NOW + 3)]) == (state.waiters, effects)
    assert [Start(1, 0, "call", "GetA")] == does(state, Tick(), NOW + 3)


def test_the_breaker_opens_at_so_many_crashes_within_its_window() -> None:
    state = after(AGAIN, StartWanted(), now=NOW)
    for now in (0.0, 10.0):
        state = crash(state, NOW + now)
        assert (False, Phase.STARTING) == (state.trouble.open, state.phase)
    state = crash(state, NOW + 20.0)
    assert (True, Phase.FAULTED) == (state.trouble.open, state.phase)
    assert NOW + 50.0 == state.trouble.retry_at
    _, error = refusal(state, Arrive(1), NOW + 30.0)
    text = (
        "unit 'u': it failed 3 times within 30 s; the next try is in 20.0 s; the last: exit code 1"
    )
    assert text == error.message


def test_crashes_that_lie_apart_open_nothing() -> None:
    state = after(AGAIN, StartWanted(), now=NOW)
    for now in (0.0, 30.0, 60.0, 90.0, 120.0):
        state = crash(state, NOW + now)
        assert not state.trouble.open


def faulted() -> State:
    state = after(AGAIN, StartWanted(), now=NOW)
    for _ in range(3):
        state = crash(state, NOW)
    assert Phase.FAULTED is state.phase
    return state


def test_one_try_is_made_behind_the_breaker_and_its_failure_opens_it_again() -> None:
    state = faulted()
    assert [Wake(NOW + 30)] == decide(state, Tick(), NOW + 29)[1]
    state = after(state, Tick(), now=NOW + 30)
    assert (4, Phase.STARTING) == (state.last, state.phase)
    # Its callers wait for it.
    state = after(state, Arrive(1), now=NOW + 31)
    assert (1,) == state.waiters
    # More than a window later: the old crashes no longer count, and yet.
    failed = after(state, StartFailed(4, BROKEN), Gone(4), now=NOW + 200)
    assert (Phase.FAULTED, NOW + 230) == (failed.phase, failed.trouble.retry_at)
    _, error = refusal(failed, Arrive(2), NOW + 200)
    text = (
        "unit 'u': it failed again when it was tried; the next try is in 30.0 s; "
        "the last: it is broken"
    )
    assert text == error.message


def test_on_demand_the_try_behind_the_breaker_is_the_next_call() -> None:
    state = ruled(faulted(), restart=ON_DEMAND)
    state = after(replace(state, wanted=False), Tick(), now=NOW + 30)
    assert Phase.ABSENT is state.phase
    state = after(state, Arrive(1), now=NOW + 40)
    assert Phase.STARTING is state.phase
    failed = after(state, StartFailed(4, BROKEN), Gone(4), now=NOW + 41)
    assert (Phase.FAULTED, NOW + 71) == (failed.phase, failed.trouble.retry_at)


def test_a_healthy_minute_forgets_everything() -> None:
    state = after(faulted(), Tick(), now=NOW + 30)
    state, effects = decide(state, Started(4), NOW + 31)
    assert [Wake(NOW + 91)] == effects
    assert 3 == after(state, Tick(), now=NOW + 90).trouble.streak
    assert Trouble() == after(state, Tick(), now=NOW + 91).trouble
    # Before that, one more crash is one too many.
    assert after(state, Lost(4), now=NOW + 90).trouble.open
    assert not after(state, Tick(), Lost(4), now=NOW + 91).trouble.open


def test_a_unit_that_idles_before_it_has_served_for_long_gets_healthy_as_well() -> None:
    """What its generations serve adds up."""
    state = ruled(faulted(), restart=ON_DEMAND, idle=20.0, healthy=60.0)
    state = after(replace(state, wanted=False), Tick(), now=NOW + 30)
    now = NOW + 3600
    for number in (4, 5, 6):
        assert state.trouble.probing
        state = after(state, Arrive(number), Started(number), Release(number), now=now)
        state = after(state, Tick(), Gone(number), now=now + 20)
        now += 3600
    assert Trouble() == state.trouble


def test_who_leaves_under_a_call_has_failed_whatever_the_exit_code() -> None:
    assert 1 == after(BUSY, CLEAN).trouble.streak
    assert 0 == after(READY, CLEAN).trouble.streak
    # One that nobody here has started answers the calls that it has.
    assert 0 == after(BUSY, replace(CLEAN, finishes=True)).trouble.streak


def test_a_start_that_somebody_waits_for_outlives_a_worker_that_was_dead_already() -> None:
    state = after(SUSPECT, StartWanted(), CRASH)
    assert state.wanted
    assert [Start] == [type(effect) for effect in does(state, Gone(1))]
    # It was alive: the wish has come true.
    assert not after(SUSPECT, StartWanted(), Alive(1)).wanted


def test_a_person_knows_better_than_breaker_and_backoff() -> None:
    backoff = replace(ABSENT, trouble=Trouble(streak=4, retry_at=NOW + 9))
    never = replace(ABSENT, trouble=Trouble(open=True, retry_at=inf))
    for state in (faulted(), backoff, never):
        number = state.last + 1
        assert [Start(number, 0, "asked", "somebody asked for it")] == does(state, StartWanted())
        assert Trouble() == after(state, StartWanted()).trouble


def test_after_never_a_stop_is_no_start() -> None:
    never = replace(ruled(ABSENT, restart=NEVER), trouble=Trouble(open=True, retry_at=inf))
    assert never == after(never, StopAsked())
    assert [Refuse] == [type(effect) for effect in does(after(never, StopAsked()), Arrive(1))]


@pytest.mark.parametrize(
    ("trouble", "tell"),
    [
        (Trouble(), None),
        (
            Trouble(failures=(NOW,), streak=1),
            Tell("backoff", 1, "exit", "no start for 0.50 s after failure 2: first line"),
        ),
        (
            Trouble(failures=(NOW - 9,) * 4, streak=4),
            Tell("faulted", 1, "breaker", "it failed 5 times within 9 s; the last: first line"),
        ),
        (
            Trouble(probing=True),
            Tell(
                "faulted", 1, "breaker", "it failed again when it was tried; the last: first line"
            ),
        ),
    ],
)
def test_a_delay_and_an_open_breaker_are_told(trouble: Trouble, tell: Tell | None) -> None:
    lost = Lost(1, "first line\nsecond line")
    _, effects = decide(replace(BUSY, trouble=trouble), lost, NOW)
    assert [tell] * (tell is not None) == [each for each in effects if isinstance(each, Tell)]


def test_never_is_told_as_what_it_is() -> None:
    _, effects = decide(ruled(BUSY, restart=NEVER), Lost(1, "exit code 1"), NOW)
    text = 'it failed, and has restart = "never"; the last: exit code 1'
    assert Tell("faulted", 1, "breaker", text) == effects[0]
