"""Somebody else's worker in a unit's place: how it comes, how it leaves, and what it leaves behind."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hsu_worker.errors import FailedPrecondition
from hsu_worker.master.policy import (
    Alive,
    Arrive,
    Close,
    Effect,
    Event,
    Gone,
    Grant,
    Leaving,
    Lost,
    Phase,
    Probe,
    Refuse,
    Release,
    Restart,
    Returning,
    StandInAsked,
    Start,
    Started,
    StartFailed,
    StartWanted,
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
    Wake,
    decide,
)
from tests.master.states import ABSENT, ALL, ASKED, BROKEN, BUSY, NOW, READY, after, does, ruled

SPEC = 7
WHO = "a worker has registered, at unix:/s"
ASK = StandInAsked(SPEC, WHO)
BACK = ("stand-in", "it has given the place back")

#: A stand-in serves, and the worker before it has gone.
STANDS_IN = after(READY, ASK, Started(2), Gone(1))
COMES_BACK = after(STANDS_IN, Returning(2, 10.0))
#: It has left, and is expected back.
KEPT = after(COMES_BACK, Lost(2), Gone(2))


def told(state: State, event: Event) -> list[Effect]:
    return [effect for effect in decide(state, event, NOW)[1] if isinstance(effect, Tell)]


def refusal(state: State, event: Event) -> str:
    """Why it may not stand in."""
    [end] = does(state, event)
    assert state == after(state, event)
    assert isinstance(end, SwapEnded)
    assert isinstance(end.error, FailedPrecondition)
    return end.error.message


@pytest.mark.parametrize("state", ALL.values(), ids=ALL)
def test_it_comes_beside_the_one_that_serves_and_takes_its_place(state: State) -> None:
    number = state.last + 1
    assert [Start(number, SPEC, "stand-in", WHO)] == does(state, ASK)
    stands_in = after(state, ASK, Started(number))
    assert stands_in.current is not None
    assert (number, SPEC, True) == (
        stands_in.current.number,
        stands_in.current.spec,
        stands_in.current.stand_in,
    )
    assert (Trouble(), False, False) == (stands_in.trouble, stands_in.held, stands_in.wanted)
    swapped = Tell("swapped", number, "stand-in", f"calls go to generation {number}")
    assert [swapped] == told(after(state, ASK), Started(number))


def test_who_served_before_finishes_its_calls() -> None:
    flipped = after(BUSY, ASK, Started(2))
    assert [Grant((9,), 2)] == does(flipped, Arrive(9))
    assert [Stop(1, "stand-in", "generation 2 has taken its place")] == does(
        after(flipped, Release(1)), Release(1)
    )


def test_when_it_leaves_the_unit_is_what_it_was() -> None:
    assert [Stop(2, *BACK)] == does(STANDS_IN, Lost(2, "its registration ended", clean=True))
    left = after(STANDS_IN, Lost(2, clean=True), Gone(2))
    assert (Phase.ABSENT, 0) == (left.phase, left.spec)
    assert [Start(3, 0, "call", "GetA")] == does(left, Arrive(1, "GetA"))


@pytest.mark.parametrize("end", [Lost(2, "it ended"), Unresponsive(2), Lost(2, clean=True)])
@pytest.mark.parametrize("restart", Restart)
def test_however_it_ends_the_unit_has_not_failed(end: Event, restart: Restart) -> None:
    left = after(ruled(STANDS_IN, restart=restart), end)
    assert Trouble() == left.trouble
    # Only a unit that always runs is started without a call.
    starts = [Start(3, 0, "restart", "generation 2 has given the place back")]
    assert (starts if restart is Restart.ALWAYS else []) == does(left, Gone(2))


def test_one_that_can_not_be_reached_is_let_go_at_once() -> None:
    assert [Stop(2, "stand-in", "it hangs", force=True)] == does(
        STANDS_IN, Unresponsive(2, "it hangs")
    )


def test_one_that_is_leaving_gets_no_new_call_and_loses_none() -> None:
    busy = after(STANDS_IN, Arrive(1))
    assert [Probe(2)] == does(busy, Suspect(2))
    leaving = after(busy, Suspect(2), Leaving(2), Arrive(2, "GetA"))
    assert leaving.current is not None
    assert (Phase.DRAINING, (2,)) == (leaving.current.phase, leaving.waiters)
    ended = [Stop(2, "stand-in", "it is leaving by itself")]
    assert ended == does(leaving, Release(2))
    assert [Start(3, 0, "call", "GetA")] == does(after(leaving, Release(2)), Gone(2))


def test_it_is_never_stopped_for_being_idle() -> None:
    assert [] == does(STANDS_IN, Tick(), NOW + 1e6)
    assert [Stop(1, "idle", "not called for 10 s")] == does(READY, Tick(), NOW + 1e6)


def test_a_suspicion_that_was_wrong_changes_nothing() -> None:
    assert STANDS_IN == after(STANDS_IN, Suspect(2), Alive(2))


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (STANDS_IN, "unit 'u': another worker stands in for it already"),
        (after(READY, ASK), "unit 'u': a swap is under way; try again when it has ended"),
        (
            after(BUSY, ASK, Started(2)),
            "unit 'u': a swap is under way; try again when it has ended",
        ),
        (replace(ABSENT, closed=True), "unit 'u': the master is leaving"),
        (
            replace(ABSENT, held=True),
            "unit 'u': somebody stopped it; `hsu-worker start u` first",
        ),
    ],
)
def test_it_is_refused(state: State, text: str) -> None:
    assert text == refusal(state, StandInAsked(8, "another"))


def test_the_next_one_may_come_while_the_last_one_leaves() -> None:
    leaving = after(STANDS_IN, Lost(2))
    assert [Start(3, 8, "stand-in", "another")] == does(leaving, StandInAsked(8, "another"))


def test_one_that_will_not_do_leaves_the_unit_as_it_is() -> None:
    asked = after(READY, ASK)
    assert [Stop(2, "start", "it is broken")] == does(asked, StartFailed(2, BROKEN))
    failed = after(asked, StartFailed(2, BROKEN))
    [end] = does(failed, Gone(2))
    assert isinstance(end, SwapEnded)
    assert end.error is not None
    assert "it can't stand in: it is broken" == end.error.message
    assert replace(READY, last=2) == after(failed, Gone(2))


@pytest.mark.parametrize(
    ("event", "stop"),
    [
        (StopAsked(), Stop(2, *ASKED)),
        (StopAsked(hold=True), Stop(2, *ASKED)),
        (Close(), Stop(2, "master", "the master leaves")),
    ],
)
def test_a_stop_sends_it_away(event: Event, stop: Stop) -> None:
    assert [stop] == does(COMES_BACK, event)
    stopped = after(COMES_BACK, event, Gone(2))
    # That it would come back counts no more.
    assert (None, 0) == (stopped.kept_until, stopped.spec)


def test_a_swap_sends_it_away_and_stays() -> None:
    swapped = after(STANDS_IN, SwapAsked(9), Started(3), Gone(2), Lost(3), Gone(3))
    assert [Start(4, 9, "call", "GetA")] == does(swapped, Arrive(1, "GetA"))


def test_calls_wait_for_one_that_comes_back() -> None:
    waits = after(KEPT, Arrive(1, "GetA"))
    assert ((1,), None) == (waits.waiters, waits.current)
    assert Wake(NOW + 10) in decide(KEPT, Arrive(1, "GetA"), NOW)[1]
    back = after(waits, StandInAsked(8, "it again"))
    assert [Grant((1,), 3), SwapEnded(3, None)] == sorted_(does(back, Started(3)))
    assert after(back, Started(3)).kept_until is None


def test_the_place_is_kept_no_longer_than_was_asked() -> None:
    waits = after(KEPT, Arrive(1, "GetA"))
    assert [] == does(waits, Tick(), NOW + 9.9)
    assert [Start(3, 0, "call", "GetA")] == does(waits, Tick(), NOW + 10)


def test_a_kept_place_is_told() -> None:
    why = "generation 2 comes back within 10 s; until then calls wait for it"
    assert [Tell("backoff", 2, "stand-in", why)] == told(COMES_BACK, Lost(2))
    assert [Tell("backoff", 2, "stand-in", why)] == told(COMES_BACK, Leaving(2))


def test_the_time_for_which_the_place_is_kept_counts_from_the_end() -> None:
    busy = after(COMES_BACK, Arrive(1), Leaving(2))
    assert NOW + 10 == busy.kept_until
    ended, _ = decide(busy, Lost(2), NOW + 3)
    assert NOW + 13 == ended.kept_until


def test_a_start_by_hand_does_not_wait_for_one_that_comes_back() -> None:
    assert [Start(3, 0, "asked", "somebody asked for it")] == does(KEPT, StartWanted())
    assert KEPT.kept_until is not None
    assert after(COMES_BACK, Leaving(2), StartWanted(), Lost(2)).kept_until is None


def test_after_a_stop_the_place_is_kept_no_more() -> None:
    stopped = after(KEPT, StopAsked())
    assert [Start(3, 0, "call", "GetA")] == does(stopped, Arrive(1, "GetA"))


def test_a_unit_that_always_runs_waits_for_one_that_comes_back() -> None:
    kept = after(ruled(COMES_BACK, restart=Restart.ALWAYS), Lost(2), Gone(2))
    assert [] == does(kept, Tick())
    [start] = does(kept, Tick(), NOW + 10)
    assert isinstance(start, Start)


@pytest.mark.parametrize("number", [1, 3])
def test_the_place_is_kept_for_the_stand_in_alone(number: int) -> None:
    assert STANDS_IN == after(STANDS_IN, Returning(number, 10.0))
    assert READY == after(READY, Returning(1, 10.0))


def test_who_will_not_wait_for_one_that_comes_back_is_refused() -> None:
    [refused] = does(KEPT, Arrive(1, start=False))
    assert isinstance(refused, Refuse)


def sorted_(effects: Sequence[Effect]) -> list[Effect]:
    return sorted(effects, key=lambda effect: type(effect).__name__)
