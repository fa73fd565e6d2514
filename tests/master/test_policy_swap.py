"""Another implementation takes the place of the present one: in every phase of that one."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hsu_worker.errors import Dispatch, FailedPrecondition, RpcError
from hsu_worker.master.policy import (
    Arrive,
    Close,
    Effect,
    Event,
    Gone,
    Grant,
    Lost,
    Phase,
    Refuse,
    Release,
    Restart,
    Start,
    Started,
    StartFailed,
    State,
    Stop,
    StopAsked,
    Suspect,
    SwapAsked,
    SwapEnded,
    Tell,
    Tick,
    Trouble,
    Unresponsive,
    decide,
)
from tests.master.states import (
    ABSENT,
    ALL,
    ASKED,
    BROKEN,
    BUSY,
    DRAINING,
    NOW,
    READY,
    STARTING,
    STOPPING,
    WAITED_FOR,
    after,
    changed,
    does,
    ruled,
)

SPEC = 7
TAKEN = "generation 2 has taken its place"


def swapping(state: State) -> State:
    """With a candidate of the next number."""
    return after(state, SwapAsked(SPEC))


def ended(effects: Sequence[Effect]) -> tuple[int, str]:
    """What whoever asked for the swap is told."""
    [end] = [effect for effect in effects if isinstance(effect, SwapEnded)]
    return end.generation, "" if end.error is None else end.error.message


def error_of(effects: Sequence[Effect]) -> RpcError:
    [end] = [effect for effect in effects if isinstance(effect, SwapEnded)]
    assert end.error is not None
    return end.error


@pytest.mark.parametrize("state", ALL.values(), ids=ALL)
def test_a_swap_starts_another_one_and_leaves_the_present_one_alone(state: State) -> None:
    number = state.last + 1
    assert [Start(number, SPEC, "swap", "somebody asked for it")] == does(state, SwapAsked(SPEC))
    asked = swapping(state)
    assert (state.current, state.waiters) == (asked.current, asked.waiters)
    assert asked.candidate is not None
    assert (number, SPEC, Phase.STARTING) == (
        asked.candidate.number,
        asked.candidate.spec,
        asked.candidate.phase,
    )


@pytest.mark.parametrize(
    ("state", "effects", "retiring"),
    [
        # What is done when the candidate is ready, and where the old one is then.
        (READY, [Stop(1, "swap", TAKEN)], Phase.STOPPING),
        (BUSY, [], Phase.DRAINING),
        (changed(BUSY, suspect=True), [], Phase.DRAINING),
        (DRAINING, [], Phase.DRAINING),
        (STOPPING, [], Phase.STOPPING),
        (STARTING, [Stop(1, "swap", TAKEN)], Phase.STOPPING),
        (
            WAITED_FOR,
            [Stop(1, "swap", TAKEN), Grant((1, 2), 2)],
            Phase.STOPPING,
        ),
        (
            replace(STOPPING, waiters=(1, 2)),
            [Grant((1, 2), 2)],
            Phase.STOPPING,
        ),
        (
            replace(ruled(BUSY, concurrency=2), waiters=(5, 6)),
            [Grant((5, 6), 2)],
            Phase.DRAINING,
        ),
    ],
)
def test_the_flip_in_every_phase(state: State, effects: list[Effect], retiring: Phase) -> None:
    asked = swapping(state)
    assert effects == does(asked, Started(2))
    flipped = after(asked, Started(2))
    assert flipped.current is not None
    assert flipped.retiring is not None
    assert (2, SPEC, Phase.READY, NOW) == (
        flipped.current.number,
        flipped.current.spec,
        flipped.current.phase,
        flipped.current.since,
    )
    assert (1, retiring) == (flipped.retiring.number, flipped.retiring.phase)
    assert (None, SPEC, ()) == (flipped.candidate, flipped.spec, flipped.waiters)
    told = Tell("swapped", 2, "swap", "calls go to generation 2")
    assert told in decide(asked, Started(2), NOW)[1]


def test_without_a_worker_the_swap_ends_with_the_start() -> None:
    asked = swapping(replace(ABSENT, trouble=Trouble(streak=3, retry_at=NOW + 9)))
    assert [SwapEnded(1, None)] == does(asked, Started(1))
    assert Trouble() == after(asked, Started(1)).trouble


@pytest.mark.parametrize("state", [ABSENT, DRAINING])
def test_a_held_unit_is_swapped_and_stays_held(state: State) -> None:
    asked = swapping(replace(state, held=True))
    number = asked.last
    assert [Stop(number, "swap", "the unit is held")] == does(asked, Started(number))
    swapped = after(asked, Started(number))
    assert (True, SPEC, state.current) == (swapped.held, swapped.spec, swapped.current)
    assert [SwapEnded(number, None)] == does(swapped, Gone(number))


def test_the_swap_ends_when_nothing_is_left_of_the_old_one() -> None:
    state = after(swapping(BUSY), Started(2))
    assert [Grant((9,), 2)] == does(state, Arrive(9))
    assert [] == does(state, Release(1))
    state = after(state, Release(1))
    assert [Stop(1, "swap", TAKEN)] == does(state, Release(1))
    assert [SwapEnded(2, None)] == does(after(state, Release(1)), Gone(1))


def test_the_old_ones_calls_are_bounded_by_the_drain() -> None:
    state = after(swapping(BUSY), Started(2))
    assert [] == does(state, Tick(), NOW + 4.9)
    assert [Stop(1, "swap", TAKEN)] == does(state, Tick(), NOW + 5)


@pytest.mark.parametrize(
    ("event", "stop"),
    [
        (Lost(1, "exit code 1"), Stop(1, "exit", "exit code 1")),
        (Unresponsive(1), Stop(1, "liveness", "it does not answer", force=True)),
    ],
)
def test_an_old_one_that_crashes_is_not_replaced(event: Event, stop: Stop) -> None:
    state = after(ruled(swapping(BUSY), restart=Restart.ALWAYS), Started(2))
    assert [stop] == does(state, event)
    state = after(state, event)
    assert (False, Trouble()) == (state.wanted, state.trouble)
    assert [SwapEnded(2, None)] == does(state, Gone(1))


def test_the_next_ones_are_launched_like_the_new_one() -> None:
    state = after(swapping(READY), Started(2), Gone(1), Lost(2, "exit code 1"), Gone(2))
    assert [Start(3, SPEC, "call", "GetA")] == does(state, Arrive(1, "GetA"))


def test_a_restart_that_was_wanted_is_not_wanted_after_the_flip() -> None:
    always = ruled(BUSY, restart=Restart.ALWAYS)
    state = after(swapping(always), Lost(1), Started(2), Gone(1))
    assert not state.wanted
    idle = after(state, Tick(), Gone(2), now=NOW + 10)
    assert (Phase.ABSENT, 2) == (idle.phase, idle.last)


@pytest.mark.parametrize("state", ALL.values(), ids=ALL)
def test_a_failed_swap_changes_nothing(state: State) -> None:
    number = state.last + 1
    asked = swapping(state)
    failed = StartFailed(number, BROKEN)
    assert [Stop(number, "start", "it is broken")] == does(asked, failed)
    told = Tell(
        "swap failed", number, "swap", "the swap failed, and nothing has changed: it is broken"
    )
    assert told in decide(asked, failed, NOW)[1]
    behind = after(asked, failed)
    # Whoever asked is told when nothing is left of it.
    gone, effects = decide(behind, Gone(number), NOW)
    text = "the swap failed, and nothing has changed: it is broken"
    assert (number, text) == ended(effects)
    assert isinstance(error_of(effects), FailedPrecondition)
    assert replace(state, last=number) == gone


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (swapping(READY), "unit 'u': a swap is under way; try again when it has ended"),
        (
            after(swapping(READY), StartFailed(2, BROKEN)),
            "unit 'u': a swap is under way; try again when it has ended",
        ),
        (
            after(swapping(BUSY), Started(2)),
            "unit 'u': a swap is under way; try again when it has ended",
        ),
        (replace(ABSENT, closed=True), "unit 'u': the master is leaving"),
    ],
)
def test_a_swap_is_refused(state: State, text: str) -> None:
    refused, effects = decide(state, SwapAsked(8), NOW)
    assert state == refused
    assert (0, text) == ended(effects)
    assert FailedPrecondition is type(error_of(effects))
    assert Dispatch.YES is error_of(effects).dispatched


@pytest.mark.parametrize("event", [StopAsked(), StopAsked(hold=True), Close()])
@pytest.mark.parametrize("state", ALL.values(), ids=ALL)
def test_a_stop_ends_a_swap(state: State, event: Event) -> None:
    number = state.last + 1
    asked = swapping(state)
    assert Stop(number, "asked", "the unit was stopped") in does(asked, event)
    # It is too late for it to come.
    stopped = after(asked, event)
    assert [] == does(stopped, Started(number))
    assert (number, "unit 'u' was stopped during the swap") == ended(
        decide(stopped, Gone(number), NOW)[1]
    )


def test_a_stop_behind_the_flip_stops_both() -> None:
    state = after(swapping(BUSY), Started(2))
    assert [Stop(2, *ASKED)] == does(state, StopAsked())
    stopped = after(state, StopAsked(), Gone(2))
    assert [Stop(1, "swap", TAKEN)] == does(stopped, Tick(), NOW + 5)
    end = after(stopped, Tick(), now=NOW + 5)
    assert [SwapEnded(2, None)] == does(end, Gone(1))
    assert ABSENT == replace(after(end, Gone(1)), last=0, spec=0, cause=("", ""))


def test_an_open_breaker_does_not_hold_up_a_swap() -> None:
    state = after(swapping(replace(READY, trouble=Trouble(probing=True))), Lost(1), Gone(1))
    assert Phase.FAULTED is state.phase
    assert [Refuse] == [type(effect) for effect in does(state, Arrive(1))]
    assert [Grant((1,), 2)] == does(after(state, Started(2)), Arrive(1))


def test_a_present_one_that_is_still_starting_is_overtaken() -> None:
    state = after(swapping(ABSENT), Arrive(1))
    assert (2, (1,)) == (state.last, state.waiters)
    state, effects = decide(state, Started(1), NOW)
    assert Stop(2, "swap", "generation 1 has taken its place") in effects
    assert Grant((1,), 1) in effects
    assert [] == does(state, Started(2))
    assert [SwapEnded(1, None)] == does(state, Gone(2))
    assert [] == does(state, Suspect(2))
