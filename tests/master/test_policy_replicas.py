"""Which replica takes a call, and whether another one is to start: the decision alone."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsu_worker.errors import StartError
from hsu_worker.master.policy import (
    Arrive,
    Event,
    Gone,
    Numbered,
    Restart,
    Rules,
    Started,
    StartFailed,
    StartNeeded,
    StartWanted,
    State,
    StopAsked,
    Suspect,
    decide,
)
from hsu_worker.master.policy.replicas import Choice, Replica, choose, least_loaded, seen

FULL = Replica(serves=True, leases=2)
ABSENT = Replica(effort=1)
WARM = Replica(effort=0)
COMES = Replica(coming=2)
HELD = Replica()
FAILED = Replica(effort=1, troubled=True)
FAULTED = Replica(troubled=True)


def free(leases: int) -> Replica:
    return Replica(serves=True, leases=leases, room=2 - leases)


@pytest.mark.parametrize(
    ("replicas", "callers", "choice"),
    [
        ([ABSENT, ABSENT], 0, Choice()),
        ([ABSENT, ABSENT], 1, Choice(starts=(0,))),
        ([ABSENT, ABSENT], 2, Choice(starts=(0,))),
        ([ABSENT, ABSENT], 3, Choice(starts=(0, 1))),
        ([ABSENT, ABSENT], 9, Choice(starts=(0, 1))),
        ([free(1), ABSENT], 1, Choice(grants=(0,))),
        ([free(1), ABSENT], 2, Choice(grants=(0,), starts=(1,))),
        ([free(1), free(0)], 2, Choice(grants=(1, 0))),
        ([free(1), free(0)], 3, Choice(grants=(1, 0, 1))),
        ([free(0), free(0)], 1, Choice(grants=(0,))),
        ([FULL, ABSENT, ABSENT], 1, Choice(starts=(1,))),
        ([FULL, ABSENT, WARM], 1, Choice(starts=(2,))),
        ([FULL, COMES, ABSENT], 2, Choice()),
        ([FULL, COMES, ABSENT], 3, Choice(starts=(2,))),
        ([FULL, FULL], 5, Choice()),
        ([FULL, FAILED, ABSENT], 9, Choice(starts=(1,))),
        ([FULL, FAULTED, ABSENT], 9, Choice()),
        ([FAULTED, ABSENT], 1, Choice(lost=True)),
        ([HELD, HELD], 1, Choice(lost=True)),
        ([HELD, Replica(leases=1)], 1, Choice()),
    ],
)
def test_what_is_done_for_those_who_wait(
    replicas: list[Replica], callers: int, choice: Choice
) -> None:
    assert choice == choose(replicas, [True] * callers, 2)


def test_for_whom_nothing_may_be_started_nothing_is() -> None:
    assert Choice() == choose([FULL, ABSENT], [False], 2)
    assert Choice(starts=(1,)) == choose([FULL, ABSENT], [False, True], 2)
    assert Choice(lost=True) == choose([ABSENT, ABSENT], [False], 2)


replicas = st.one_of(
    st.builds(free, st.integers(0, 2)),
    st.builds(Replica, coming=st.integers(0, 2), troubled=st.booleans()),
    st.builds(Replica, effort=st.none() | st.integers(0, 2), troubled=st.booleans()),
)


@given(st.lists(replicas, min_size=1, max_size=6), st.lists(st.booleans(), max_size=15))
def test_whatever_it_looks_like(row: list[Replica], callers: list[bool]) -> None:
    choice = choose(row, callers, 2)
    loads = [each.leases for each in row]
    for number in choice.grants:
        # Nobody has fewer who has room.
        assert loads[number] < 2
        assert row[number].serves
        assert loads[number] == min(
            loads[n] for n, each in enumerate(row) if each.room and loads[n] < 2
        )
        loads[number] += 1
    left = callers[len(choice.grants) :]
    if left:
        assert all(loads[n] == 2 for n, each in enumerate(row) if each.serves), "there is room"
    coming = sum(each.coming for each in row)
    if choice.starts:
        assert sum(left) > coming + 2 * (len(choice.starts) - 1), "more than is needed"
        assert len(set(choice.starts)) == len(choice.starts)
        assert all(row[number].effort is not None for number in choice.starts)
        failed = any(each.troubled for each in row)
        assert all(row[number].troubled == failed for number in choice.starts)
    if choice.lost:
        assert left
        assert not choice.starts
        assert not coming
        assert not any(each.serves or each.leases for each in row)
    first = least_loaded(row)
    assert choice.grants[:1] == ((first,) if callers and first is not None else ())


def state(*events: Event, **rules: object) -> State:
    """After some events, one each second."""
    keys: dict[str, Any] = {"concurrency": 2, **rules}
    found = State(rules=Rules(unit="u", **keys))
    for now, event in enumerate(events):
        found, _ = decide(found, event, now)
    return found


WANTED, READY = StartWanted(), Started(1)
BROKEN = StartFailed(1, StartError("it is broken"))


@pytest.mark.parametrize(
    ("events", "promised", "replica"),
    [
        ([], 0, Replica(effort=1)),
        ([WANTED], 0, Replica(coming=2)),
        ([StartNeeded("a call", "call")], 0, Replica(coming=2)),
        ([WANTED, READY], 0, Replica(serves=True, room=2)),
        ([WANTED, READY, Arrive(1)], 0, Replica(serves=True, leases=1, room=1)),
        ([WANTED, READY, Arrive(1)], 1, Replica(serves=True, leases=2, room=0)),
        ([WANTED, READY, Arrive(1), Suspect(1, "")], 0, Replica(leases=1, coming=1)),
        ([WANTED, READY, Arrive(1), StopAsked()], 0, Replica(effort=2)),
        ([WANTED, READY, StopAsked(), StartNeeded("a call", "call")], 0, Replica(coming=2)),
        ([WANTED, READY, StopAsked(hold=True)], 0, Replica()),
        ([WANTED, BROKEN], 0, Replica(effort=2, troubled=True)),
        ([WANTED, BROKEN, Gone(1)], 0, Replica(effort=1, troubled=True)),
    ],
)
def test_how_a_replica_is_seen(events: list[Event], promised: int, replica: Replica) -> None:
    assert replica == seen(state(*events), promised, 10.0)


def test_an_open_breaker_lets_nobody_start_it() -> None:
    broken = state(WANTED, BROKEN, Gone(1), restart=Restart.NEVER)
    assert Replica(troubled=True) == seen(broken, 0, 10.0)


def test_without_a_bound_there_is_always_room() -> None:
    assert sys.maxsize == seen(state(WANTED, READY, concurrency=None), 0, 10.0).room


def test_numbers_of_other_replicas_are_never_used_again() -> None:
    counted, _ = decide(state(), Numbered(7), 0.0)
    started, effects = decide(counted, StartNeeded("a call of A", "call"), 0.0)
    assert 8 == started.last
    assert ("call", "a call of A") == (effects[0].trigger, effects[0].why)  # type: ignore[union-attr]
    assert 8 == decide(started, Numbered(3), 0.0)[0].last
