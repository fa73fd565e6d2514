"""Another unit needs what the worker takes: in every phase."""

from dataclasses import replace

import pytest

from hsu_worker.errors import StartError
from hsu_worker.master.policy import (
    Arrive,
    Evict,
    Gone,
    Grant,
    Needed,
    Phase,
    Refuse,
    Release,
    Start,
    StartFailed,
    State,
    Stop,
    StopAsked,
    decide,
)
from tests.master.states import (
    ABSENT,
    ALL,
    BUSY,
    DRAINING,
    NOW,
    READY,
    STARTING,
    STOPPING,
    SUSPECT,
    WAITED_FOR,
    one,
    with_current,
)

WHY = "unit 'v' needs 300 MB of the machine"
EVICT = Evict(1, WHY)
DRAIN = Evict(1, WHY, drain=True)
WARM = with_current(one(Phase.WARM, warm_since=95.0))


@pytest.mark.parametrize("state", [READY, SUSPECT, WARM], ids=["ready", "suspect", "warm"])
@pytest.mark.parametrize("event", [EVICT, DRAIN], ids=["evict", "drain"])
def test_one_that_nobody_uses_goes_at_once(state: State, event: Evict) -> None:
    after, effects = decide(state, event, NOW)
    assert [Stop(1, "evicted", WHY)] == list(effects)
    assert Phase.STOPPING is after.phase


def test_a_call_that_came_first_wins() -> None:
    called, _ = decide(READY, Arrive(1), NOW)
    assert not [each for each in decide(called, EVICT, NOW)[1] if isinstance(each, Stop)]


def test_one_that_others_need_is_in_use() -> None:
    needed, _ = decide(READY, Needed(1), NOW)
    after, effects = decide(needed, EVICT, NOW)
    assert Phase.READY is after.phase
    assert not [each for each in effects if isinstance(each, Stop)]


def test_with_drain_its_calls_may_end_and_new_ones_wait_for_the_next() -> None:
    draining, effects = decide(BUSY, DRAIN, NOW)
    assert Phase.DRAINING is draining.phase
    assert not [each for each in effects if isinstance(each, Stop)]
    waiting, effects = decide(draining, Arrive(7), NOW)
    assert not [each for each in effects if isinstance(each, Grant | Refuse)]
    half, _ = decide(waiting, Release(1), NOW)
    stopping, effects = decide(half, Release(1), NOW)
    assert Stop(1, "evicted", WHY) in effects
    _, effects = decide(stopping, Gone(1), NOW)
    assert [2] == [each.generation for each in effects if isinstance(each, Start)]


@pytest.mark.parametrize("state", [ABSENT, STARTING, WAITED_FOR, DRAINING, STOPPING])
@pytest.mark.parametrize("event", [EVICT, DRAIN])
def test_one_that_starts_or_leaves_is_left_alone(state: State, event: Evict) -> None:
    after, effects = decide(state, event, NOW)
    assert state.generations == after.generations
    assert not [each for each in effects if isinstance(each, Stop)]


@pytest.mark.parametrize("state", ALL.values(), ids=ALL)
def test_what_names_another_generation_is_stale(state: State) -> None:
    after, effects = decide(state, Evict(9, WHY, drain=True), NOW)
    assert state.generations == after.generations
    assert not [each for each in effects if isinstance(each, Stop)]


def test_a_stand_in_is_not_ours_to_send_away() -> None:
    state = with_current(one(Phase.READY, stand_in=True))
    assert Phase.READY is decide(state, DRAIN, NOW)[0].phase


SHORT = StartFailed(1, StartError("memory"), 1.0, "it is tried once more")


def test_a_start_that_is_tried_again_keeps_those_who_wait_and_is_no_failure() -> None:
    failed, effects = decide(WAITED_FOR, SHORT, NOW)
    assert [Stop(1, "start", "memory")] == list(effects)
    assert (WAITED_FOR.waiters, 0) == (failed.waiters, failed.trouble.streak)
    _, effects = decide(failed, Gone(1), NOW)
    assert [Start(2, 0, "memory", "it is tried once more")] == list(effects)


def test_a_preloaded_one_is_tried_again_without_anybody_who_waits() -> None:
    failed, _ = decide(STARTING, SHORT, NOW)
    _, effects = decide(failed, Gone(1), NOW)
    assert [2] == [each.generation for each in effects if isinstance(each, Start)]


def test_one_that_was_stopped_is_not_tried_again() -> None:
    asked, _ = decide(WAITED_FOR, StopAsked(), NOW)
    failed, effects = decide(asked, SHORT, NOW)
    assert [(1, 2)] == [each.waiters for each in effects if isinstance(each, Refuse)]
    assert not failed.wanted
    held = replace(WAITED_FOR, held=True)
    assert not decide(held, SHORT, NOW)[0].wanted
