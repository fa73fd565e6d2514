"""Who is dead, who is slow, and who is neither: looks in, verdicts out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsu_worker.master.liveness import (
    AT_WORK,
    MISSES,
    OVERDUE,
    SOONER,
    WORK,
    Liveness,
    Look,
    Verdict,
    together,
)

FINE, WORK_ON, MISSED, DEAD = Verdict

#: As the unit looks: every 10 s, and 1 s after a miss, which takes 5 s to time out.
EVERY, AFTER_MISS = 10.0, 6.0

ANSWER = Look(at=0.0, answered=True, cpu=0.0)
FULL = replace(ANSWER, busy=True, oldest=5.0)
MISS = Look(at=0.0, answered=False, cpu=0.0)
STUCK = replace(FULL, oldest=90.0, overdue=OVERDUE + 1)


def every(seconds: float, count: int, look: Look, *, cpu: float = 0.0) -> list[Look]:
    """So many looks, with CPU used in between."""
    return [replace(look, at=seconds * n, cpu=cpu * n) for n in range(1, count + 1)]


def timeline(*parts: Iterable[Look]) -> Iterator[Look]:
    """One part after the other."""
    at = cpu = 0.0
    for part in parts:
        began, used = at, cpu
        for look in part:
            at = began + look.at
            if look.cpu is not None:
                cpu = used + look.cpu
            yield replace(look, at=at, cpu=None if look.cpu is None else cpu)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a worker shows, and what it amounts to, look by look."""

    name: str
    looks: tuple[list[Look], ...]
    verdicts: tuple[Verdict, ...]
    max_call: float = float("inf")


CASES = (
    Case(
        name="it answers",
        looks=(every(EVERY, 5, ANSWER),),
        verdicts=(FINE,) * 5,
    ),
    Case(
        name="T17: it is stopped, and uses no CPU",
        looks=(every(EVERY, 2, ANSWER), every(AFTER_MISS, 3, MISS)),
        verdicts=(FINE, FINE, MISSED, MISSED, DEAD),
    ),
    Case(
        name="T17: it worked hard before it was stopped",
        looks=(
            every(EVERY, 2, ANSWER, cpu=9.0),
            every(AFTER_MISS, 1, MISS, cpu=4.0),
            every(AFTER_MISS, 3, MISS),
        ),
        verdicts=(FINE, FINE, WORK_ON, MISSED, MISSED, DEAD),
    ),
    Case(
        name="T17: its CPU is not known",
        looks=(every(AFTER_MISS, 3, replace(MISS, cpu=None)),),
        verdicts=(MISSED, MISSED, DEAD),
    ),
    Case(
        name="T18: its slots are taken by calls that have outlived their deadlines",
        looks=(every(EVERY, 1, FULL), every(1.0, 3, STUCK)),
        verdicts=(FINE, MISSED, MISSED, DEAD),
    ),
    Case(
        name="T18: its slots are taken by calls that use no deadline, for longer than `max_call`",
        looks=(
            every(EVERY, 1, replace(FULL, oldest=60.0)),
            every(1.0, 3, replace(FULL, oldest=60.1)),
        ),
        verdicts=(FINE, MISSED, MISSED, DEAD),
        max_call=60.0,
    ),
    Case(
        name="a call is overdue, but there are free slots",
        looks=(every(EVERY, 5, replace(STUCK, busy=False)),),
        verdicts=(FINE,) * 5,
        max_call=60.0,
    ),
    Case(
        name="a call is overdue by no more than is allowed",
        looks=(every(EVERY, 5, replace(STUCK, overdue=OVERDUE)),),
        verdicts=(FINE,) * 5,
    ),
    Case(
        name="T46: all slots are taken for an hour by calls that may take so long",
        looks=(every(EVERY, 360, replace(FULL, oldest=3600.0)),),
        verdicts=(FINE,) * 360,
    ),
    Case(
        name="T46: a handler blocks the loop for 20 s and uses CPU",
        looks=(
            every(EVERY, 1, ANSWER),
            every(AFTER_MISS, 4, MISS, cpu=AFTER_MISS),
            every(EVERY, 2, ANSWER),
        ),
        verdicts=(FINE, WORK_ON, WORK_ON, WORK_ON, WORK_ON, FINE, FINE),
    ),
    Case(
        name="T46: handlers block the loop again and again, and it answers in between",
        looks=(
            every(AFTER_MISS, 5, MISS, cpu=AFTER_MISS),
            every(EVERY, 1, ANSWER),
            every(AFTER_MISS, 5, MISS, cpu=AFTER_MISS),
            every(EVERY, 1, ANSWER),
        ),
        verdicts=(*(WORK_ON,) * 5, FINE, *(WORK_ON,) * 5, FINE),
    ),
    Case(
        name="it spins for ever",
        looks=(every(EVERY, 1, ANSWER), every(AFTER_MISS, 8, MISS, cpu=AFTER_MISS)),
        # The first miss at 16 s; from 46 s on they count.
        verdicts=(FINE, *(WORK_ON,) * 5, MISSED, MISSED, DEAD),
    ),
    Case(
        name="it burns CPU under calls that have outlived their deadlines",
        looks=(every(1.0, 33, STUCK, cpu=0.9),),
        verdicts=(*(WORK_ON,) * 30, MISSED, MISSED, DEAD),
    ),
    Case(
        name="it uses less CPU than work takes",
        looks=(every(AFTER_MISS, 3, MISS, cpu=WORK * 0.9),),
        verdicts=(MISSED, MISSED, DEAD),
    ),
    Case(
        name="two misses, an answer, two misses",
        looks=(
            every(AFTER_MISS, 2, MISS),
            every(EVERY, 1, ANSWER),
            every(AFTER_MISS, 2, MISS),
            every(EVERY, 1, FULL),
        ),
        verdicts=(MISSED, MISSED, FINE, MISSED, MISSED, FINE),
    ),
    Case(
        name="misses of both sorts count together",
        looks=(every(AFTER_MISS, 1, MISS), every(1.0, 1, STUCK), every(AFTER_MISS, 1, MISS)),
        verdicts=(MISSED, MISSED, DEAD),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_verdict_after_each_look(case: Case) -> None:
    liveness = Liveness(max_call=case.max_call, cpu=0.0)
    verdicts = []
    for look in timeline(*case.looks):
        liveness, verdict, text = liveness.look(look)
        assert (verdict is FINE) == (text == "")
        verdicts.append(verdict)
    assert case.verdicts == tuple(verdicts)


def test_who_spins_for_ever_is_dead_three_looks_after_its_time_at_work() -> None:
    liveness = Liveness(cpu=0.0)
    looks = every(AFTER_MISS, 100, MISS, cpu=AFTER_MISS)
    for look in looks:
        liveness, verdict, _ = liveness.look(look)
        if verdict is DEAD:
            break
    first = looks[0].at
    assert first + AT_WORK + (MISSES - 1) * AFTER_MISS == look.at


@pytest.mark.parametrize(
    ("looks", "max_call", "text"),
    [
        (
            every(AFTER_MISS, 3, MISS),
            1e9,
            "it does not answer a Ping, 3 times in a row, for 12.0 s",
        ),
        (
            every(1.0, 3, replace(STUCK, overdue=45.0)),
            1e9,
            "a call has outlived its deadline or its caller by 45 s, 3 times in a row, for 2.0 s",
        ),
        (
            every(1.0, 3, replace(FULL, oldest=90.0)),
            60.0,
            "a call has run for 90 s; `max_call` allows 60 s, 3 times in a row, for 2.0 s",
        ),
        (
            every(AFTER_MISS, 1, MISS, cpu=5.0),
            1e9,
            "it does not answer a Ping, but uses CPU",
        ),
        (every(AFTER_MISS, 1, MISS), 1e9, "it does not answer a Ping"),
    ],
)
def test_the_evidence_is_told(looks: list[Look], max_call: float, text: str) -> None:
    liveness, told = Liveness(max_call=max_call, cpu=0.0), ""
    for look in looks:
        liveness, _, told = liveness.look(look)
    assert text == told


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 600))
def test_looks_come_hardly_sooner_and_never_later(times: list[float], pause: float) -> None:
    for now in times:
        left = together(now, pause)
        assert pause * (1 - SOONER) - 1e-6 <= left <= pause


def test_looks_at_many_workers_come_together() -> None:
    # 200 workers that have started at any time within 10 s.
    due = {round(now + together(now, 10.0), 6) for now in (n / 20 for n in range(200))}
    assert 40 == len(due)
