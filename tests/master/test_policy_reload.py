"""The table of a unit changes: in every phase."""

from dataclasses import replace

import pytest

from hsu_worker.master.policy import (
    Arrive,
    Close,
    Gone,
    Grant,
    Outgrown,
    Phase,
    Reconfigured,
    Release,
    Start,
    Started,
    StartFailed,
    State,
    Stop,
    SwapAsked,
    SwapEnded,
    Tick,
    Trouble,
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
    RULES,
    STARTING,
    STOPPING,
    WAITED_FOR,
    after,
    one,
    refusal,
    ruled,
)

WHY = "its table in hsu.toml has changed"
NEW = replace(RULES, idle=None, concurrency=1)
OTHER = Reconfigured(NEW, 7)


@pytest.mark.parametrize("state", ALL.values(), ids=ALL)
def test_rules_alone_change_nothing_that_runs(state: State) -> None:
    changed, effects = decide(state, Reconfigured(NEW, None), NOW)
    assert NEW == changed.rules
    assert state.generations == changed.generations
    assert [] == [effect for effect in effects if isinstance(effect, Start | Stop)]


def test_more_room_is_lent_at_once() -> None:
    full = replace(BUSY, rules=replace(RULES, concurrency=2), waiters=(1, 2))
    _, effects = decide(full, Reconfigured(replace(RULES, concurrency=3), None), NOW)
    assert Grant((1,), 1) in effects


def test_a_shorter_idle_time_counts_from_the_last_call() -> None:
    _, effects = decide(READY, Reconfigured(replace(RULES, idle=2.0), None), NOW)
    assert Stop(1, "idle", "not called for 2 s") in effects


@pytest.mark.parametrize("state", [READY, BUSY], ids=["ready", "busy"])
def test_one_that_serves_goes_on_until_the_new_one_takes_its_place(state: State) -> None:
    changed, effects = decide(state, OTHER, NOW)
    assert Start(2, 7, "swap", WHY) in effects
    assert state.current == changed.current
    assert (7, 7) == (changed.spec, changed.candidate.spec if changed.candidate else None)


def test_should_the_new_one_fail_the_old_one_serves_on() -> None:
    changed, effects = decide(after(BUSY, OTHER), StartFailed(2, BROKEN), NOW)
    assert BUSY.current == changed.current
    assert [Stop(2, "start", "it is broken")] == [e for e in effects if isinstance(e, Stop)]
    assert 7 == after(changed, Gone(2)).spec


def test_one_that_is_being_started_as_before_is_given_up_and_its_callers_wait() -> None:
    changed, effects = decide(WAITED_FOR, OTHER, NOW)
    assert Stop(1, "reload", WHY) in effects
    assert (1, 2) == changed.waiters
    _, effects = decide(changed, Gone(1), NOW)
    assert Start(2, 7, "reload", WHY) in effects


def test_a_start_that_somebody_asked_for_goes_on_as_another_one() -> None:
    _, effects = decide(after(STARTING, OTHER), Gone(1), NOW)
    assert Start(2, 7, "reload", WHY) in effects


@pytest.mark.parametrize(
    "state", [ABSENT, DRAINING, STOPPING], ids=["absent", "draining", "stopping"]
)
def test_the_next_one_is_launched_as_the_table_says(state: State) -> None:
    changed, effects = decide(state, OTHER, NOW)
    assert [] == [effect for effect in effects if isinstance(effect, Start | Stop)]
    assert 7 == changed.spec
    assert not changed.wanted


def test_what_failed_was_launched_in_another_way() -> None:
    trouble = Trouble(streak=3, retry_at=NOW + 9, reason="no such module", open=True)
    broken = replace(ABSENT, trouble=trouble)
    changed, effects = decide(after(broken, OTHER), Arrive(1), NOW)
    assert Start(1, 7, "call", "a call") in effects
    assert "" == changed.trouble.reason


def test_a_swap_that_is_under_way_ends_with_the_reason() -> None:
    changed, effects = decide(after(READY, SwapAsked(3)), OTHER, NOW)
    assert Stop(2, "reload", WHY) in effects
    _, effects = decide(changed, Gone(2), NOW)
    (ended,) = (effect for effect in effects if isinstance(effect, SwapEnded))
    assert ended.error is not None
    assert f"unit 'u': {WHY} during the swap" == ended.error.message


def test_while_another_swap_is_on_its_way_out_the_one_that_serves_goes_on() -> None:
    retiring = replace(one(Phase.DRAINING), number=1)
    state = replace(READY, last=2, current=one(Phase.READY, 2, leases=1), retiring=retiring)
    changed, effects = decide(state, OTHER, NOW)
    assert state.current == changed.current
    assert [] == [effect for effect in effects if isinstance(effect, Start)]
    for _ in range(2):
        changed = after(changed, Release(1))
    _, effects = decide(changed, Gone(1), NOW)
    assert Start(3, 7, "swap", WHY) in effects


def test_a_stand_in_stays() -> None:
    stands_in = replace(READY, current=one(Phase.READY, stand_in=True))
    changed, effects = decide(stands_in, OTHER, NOW)
    assert stands_in.current == changed.current
    assert [] == [effect for effect in effects if isinstance(effect, Start | Stop)]
    assert 7 == changed.spec


def test_one_that_has_outgrown_its_bound_makes_place_for_another_of_its_kind() -> None:
    grown = Outgrown(1, "it has 300 MiB of its own")
    busy = ruled(BUSY, healthy=10.0)
    changed, effects = decide(busy, grown, NOW)
    assert Start(2, 0, "swap", "it has 300 MiB of its own") in effects
    assert changed.current is not None
    assert (Phase.READY, 2) == (changed.current.phase, changed.current.leases)
    # One that is on its way is told no second time, and another one is not meant.
    for state in (changed, STARTING, DRAINING, replace(busy, closed=True)):
        assert [] == [each for each in decide(state, grown, NOW)[1] if isinstance(each, Start)]
    assert busy == decide(busy, Outgrown(7, "it has grown"), NOW)[0]


def test_one_that_is_too_large_from_its_start_is_not_replaced_at_each_look() -> None:
    """READY began at 90 s."""
    grown = Outgrown(1, "it has 300 MiB of its own")
    state = ruled(BUSY, healthy=10.0)
    assert [] == [e for e in decide(state, grown, NOW - 1)[1] if isinstance(e, Start)]
    # The other one doesn't come up: the next try is as far away.
    failed = after(state, grown, StartFailed(2, BROKEN), Gone(2))
    assert [] == [e for e in decide(failed, grown, NOW + 9)[1] if isinstance(e, Start)]
    assert [3] == [e.generation for e in decide(failed, grown, NOW + 10)[1] if isinstance(e, Start)]


def test_one_that_takes_the_place_of_a_large_one_is_not_replaced_for_that() -> None:
    """It was told twice, the second time while the new one started."""
    state = ruled(BUSY, healthy=0.0)
    told = Outgrown(1, "it has 300 MiB of its own")
    flipped = after(state, told, told, Started(2), Release(1), Release(1))
    assert [] == [e for e in decide(flipped, Gone(1), NOW)[1] if isinstance(e, Start)]


def test_the_new_one_idles_for_as_long_as_the_one_before_it() -> None:
    """READY was last called at 95 s, and may idle for 10 s."""
    swapped = after(READY, SwapAsked(1), Started(2), Gone(1))
    assert [Wake(105.0)] == [e for e in decide(swapped, Tick(), NOW)[1] if isinstance(e, Wake)]


def test_one_that_was_removed_ends_and_refuses_calls() -> None:
    changed, effects = decide(READY, Close(removed=True), NOW)
    assert [Stop(1, "reload", "it is no longer in hsu.toml")] == effects
    assert "unit 'u': it is no longer in hsu.toml" == refusal(changed, Arrive(9))[1].message
    _, effects = decide(changed, SwapAsked(1), NOW)
    (ended,) = (effect for effect in effects if isinstance(effect, SwapEnded))
    assert "unit 'u': it is no longer in hsu.toml" == (ended.error.message if ended.error else "")
