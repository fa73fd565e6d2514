"""A warm stop: in every phase that it has, and what may come in between."""

from dataclasses import replace

import pytest

from hsu_worker.master.policy import (
    Alive,
    Arrive,
    Close,
    Event,
    Gone,
    Grant,
    Leaving,
    Lost,
    Outgrown,
    Phase,
    Reconfigured,
    Start,
    Started,
    StartWanted,
    State,
    Stop,
    StopAsked,
    Suspect,
    SwapAsked,
    SwapEnded,
    Tell,
    Tick,
    Unresponsive,
    Wake,
    Warm,
    WarmFailed,
    WarmStart,
    WarmStop,
    decide,
)
from tests.master.states import (
    NOW,
    READY,
    RULES,
    STARTING,
    after,
    changed,
    does,
    one,
    refusal,
    ruled,
)

IDLED = NOW + 5
"""Ten seconds after the last call of `READY`."""
RULED = ruled(READY, warm=60.0)
LEAVING = after(RULED, Tick(), now=IDLED)
WARM = after(LEAVING, Warm(1), now=IDLED + 1)
RESUMING = after(WARM, Arrive(1, "Summarize"), now=IDLED + 2)


def test_an_idle_worker_leaves_its_lifespans_and_its_process_stays() -> None:
    state, effects = decide(RULED, Tick(), IDLED)
    assert [WarmStop(1)] == effects
    assert Phase.WARM == state.phase
    state, effects = decide(state, Warm(1), IDLED + 1)
    assert [Tell("warm", 1, "idle", "not called for 10 s"), Wake(IDLED + 61)] == effects
    assert Phase.WARM == state.phase


def test_one_that_is_adopted_with_its_lifespans_left_stays_so_until_it_is_called() -> None:
    adopted, effects = decide(ruled(STARTING, warm=60.0), Warm(1), NOW)
    told = Tell("warm", 1, "adopt", "it was adopted with its lifespans left")
    assert (Phase.WARM, [told, Wake(NOW + 60)]) == (adopted.phase, effects)
    resumes = [WarmStart(1, "call", "Summarize")]
    assert resumes == does(adopted, Arrive(1, "Summarize"), NOW + 1)
    # Who has waited for its adoption has it wake at once.
    waited = after(ruled(STARTING, warm=60.0), Arrive(1, "Summarize"))
    assert WarmStart in [type(each) for each in decide(waited, Warm(1), NOW)[1]]


def test_its_process_ends_after_the_second_time() -> None:
    why = "not called for 60 s after its warm stop"
    assert [] == does(WARM, Tick(), IDLED + 60)
    assert [Stop(1, "idle", why)] == does(WARM, Tick(), IDLED + 61)
    assert Phase.ABSENT == after(WARM, Tick(), Gone(1), now=IDLED + 61).phase


def test_a_call_has_it_serve_again_as_the_same_generation() -> None:
    assert [WarmStart(1, "call", "Summarize")] == does(WARM, Arrive(1, "Summarize"), NOW + 7)
    assert Phase.STARTING == RESUMING.phase
    state, effects = decide(RESUMING, Started(1), NOW + 8)
    assert Grant((1,), 1) == effects[0]
    assert (Phase.READY, 1, 1) == (state.phase, state.last, state.leases)


def test_a_call_during_the_warm_stop_waits_for_its_end() -> None:
    waited = after(LEAVING, Arrive(1, "Summarize"), Arrive(2), now=IDLED)
    assert (1, 2) == waited.waiters
    expected = WarmStart(1, "call", "Summarize and 1 more")
    assert [expected] == does(waited, Warm(1), IDLED + 1)


def test_a_call_that_may_not_wait_is_refused() -> None:
    waiters, error = refusal(WARM, Arrive(1, start=False), IDLED + 2)
    assert (1,) == waiters
    expected = "unit 'u' is warm, and the call asked not to wait for a start"
    assert expected == error.message


@pytest.mark.parametrize(
    ("event", "trigger", "force"),
    [
        (WarmFailed(1, "it hangs"), "idle", False),
        (Lost(1, "it hangs"), "exit", False),
        (Unresponsive(1, "it hangs"), "liveness", True),
    ],
)
def test_one_that_fails_while_it_is_warm_is_ended_and_the_unit_has_not_failed(
    event: Event, trigger: str, force: bool
) -> None:
    for state in (LEAVING, WARM):
        assert [Stop(1, trigger, "it hangs", force)] == does(state, event, IDLED + 2)
        ended = after(state, event, Gone(1), now=IDLED + 2)
        assert (Phase.ABSENT, "") == (ended.phase, ended.trouble.reason)
    waited = after(LEAVING, Arrive(1), event, now=IDLED)
    assert [Start(2, 0, "call", "a call")] == does(waited, Gone(1), IDLED + 2)


@pytest.mark.parametrize(
    ("event", "trigger", "force"),
    [
        (WarmFailed(1, "no memory"), "start", False),
        (Lost(1, "no memory"), "exit", False),
        (Unresponsive(1, "no memory"), "liveness", True),
    ],
)
def test_a_warm_start_that_fails_is_made_in_a_new_process(
    event: Event, trigger: str, force: bool
) -> None:
    assert [Stop(1, trigger, "no memory", force)] == does(RESUMING, event, IDLED + 3)
    failed = after(RESUMING, event, now=IDLED + 3)
    assert ((1,), "") == (failed.waiters, failed.trouble.reason)
    why = "its warm start failed: no memory"
    assert [Start(2, 0, "restart", why)] == does(failed, Gone(1), IDLED + 4)


def test_one_that_was_to_be_stopped_is_not_made_again() -> None:
    asked = after(RESUMING, StopAsked(), now=IDLED + 3)
    assert Phase.STARTING == asked.phase
    failed = after(replace(asked, waiters=()), WarmFailed(1, "no memory"), now=IDLED + 4)
    assert [] == does(failed, Gone(1), IDLED + 4)


@pytest.mark.parametrize("state", [LEAVING, WARM], ids=["leaving", "warm"])
@pytest.mark.parametrize("event", [StopAsked(), StopAsked(hold=True), Close()])
def test_a_stop_ends_its_process(state: State, event: Event) -> None:
    (stop,) = does(state, event, IDLED + 2)
    assert isinstance(stop, Stop)
    assert Phase.STOPPING is after(state, event, now=IDLED + 2).generations[0].phase


def test_a_start_that_is_asked_for_has_it_serve_again() -> None:
    cause = ("asked", "somebody asked for it")
    assert [WarmStart(1, *cause)] == does(WARM, StartWanted(), IDLED + 2)
    waits = after(LEAVING, StartWanted(), now=IDLED)
    assert [WarmStart(1, *cause)] == does(waits, Warm(1), IDLED + 1)


def test_a_restart_makes_a_new_process() -> None:
    stopped = after(WARM, StopAsked(), StartWanted("restart"), now=IDLED + 2)
    assert [Start(2, 0, "restart", "somebody asked for it")] == does(stopped, Gone(1), IDLED + 3)


@pytest.mark.parametrize("state", [LEAVING, WARM], ids=["leaving", "warm"])
def test_a_swap_takes_its_place(state: State) -> None:
    assert [Start(2, 7, "swap", "somebody asked for it")] == does(state, SwapAsked(7), IDLED + 2)
    swapping = after(state, SwapAsked(7), now=IDLED + 2)
    assert [Stop(1, "swap", "generation 2 has taken its place")] == does(
        swapping, Started(2), IDLED + 3
    )
    swapped = after(swapping, Started(2), now=IDLED + 3)
    assert [SwapEnded(2, None)] == does(swapped, Gone(1), IDLED + 4)


@pytest.mark.parametrize("state", [LEAVING, WARM], ids=["leaving", "warm"])
def test_a_reload_that_launches_it_otherwise_ends_it(state: State) -> None:
    why = "its table in hsu.toml has changed"
    assert [Stop(1, "reload", why)] == does(state, Reconfigured(state.rules, 7), IDLED + 2)
    ended = after(state, Reconfigured(state.rules, 7), Gone(1), now=IDLED + 2)
    assert Phase.ABSENT == ended.phase


def test_a_reload_that_takes_the_key_away_ends_it() -> None:
    why = "hsu.toml has no `warm` for it any more"
    assert [Stop(1, "reload", why)] == does(WARM, Reconfigured(RULES, None), IDLED + 2)


def test_one_that_is_to_be_replaced_or_may_be_dead_does_not_stay() -> None:
    stop = Stop(1, "idle", "not called for 10 s")
    assert [stop] == does(changed(RULED, suspect=True), Tick(), IDLED)
    assert [stop] == does(replace(RULED, spec=7), Tick(), IDLED)
    waits = replace(RULED, renew="it is too large", candidate=one(Phase.STARTING, 2))
    assert [stop] == does(waits, Tick(), IDLED)


def test_a_stand_in_is_never_warm() -> None:
    assert [] == does(changed(RULED, stand_in=True), Tick(), IDLED)


@pytest.mark.parametrize(
    "event", [Suspect(1), Alive(1), Outgrown(1, "it is large"), Leaving(1), Warm(2), Warm(1)]
)
def test_what_is_told_of_its_calls_means_nothing_to_a_warm_one(event: Event) -> None:
    assert [] == does(WARM, event, IDLED + 1)
    assert WARM.phase == after(WARM, event, now=IDLED + 1).phase


@pytest.mark.parametrize("event", [Warm(1), WarmFailed(1, "too late"), WarmFailed(2, "stale")])
def test_what_comes_too_late_changes_nothing(event: Event) -> None:
    assert READY == after(READY, event)


def test_what_it_has_served_counts() -> None:
    failed = ruled(READY, warm=60.0, healthy=60.0)
    failed = replace(failed, trouble=replace(failed.trouble, streak=1, reason="it crashed"))
    warm = after(failed, Tick(), now=IDLED)
    assert IDLED - 90 == warm.trouble.served
