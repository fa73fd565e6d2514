from typing import get_args

import pytest

from hsu_worker.cli import said
from hsu_worker.cli._sentences import about, standing
from hsu_worker.cli.logs import _text
from hsu_worker.errors import StartError
from hsu_worker.master.event import Crash, Event, Kind
from hsu_worker.master.logs import LogLine
from hsu_worker.master.policy import Phase
from hsu_worker.master.unit_status import UnitStatus

CRASH = Crash(
    text="exit code 3",
    code=3,
    calls=1,
    peak_memory=3 << 20,
    uptime=1.25,
    output=("one\x1b[2J", "two"),
)


def told(event: Event) -> list[str]:
    """Without the time."""
    return about(event).partition("  ")[2].splitlines()


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_event_has_a_sentence(kind: Kind) -> None:
    [line] = told(Event(unit="u", generation=2, kind=kind))
    assert line.endswith(".")
    assert "{" not in line


def test_a_start_that_nobody_has_asked_for_says_why() -> None:
    why = "its table says `preload = true`"
    assert [f"Generation 2 is started before any call: {why}"] == told(
        Event(unit="u", generation=2, kind="starting", trigger="preload", detail=why)
    )


def test_of_an_end_that_nobody_saw_the_last_output_is_told_alone() -> None:
    crash = Crash(text="exit code unknown", output=("one",))
    event = Event(unit="u", generation=2, kind="failed", trigger="adopt", detail="it", crash=crash)
    assert [
        "Generation 2 could not be adopted: it",
        "    Its last output:",
        "      one",
    ] == told(event)


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_a_sentence(phase: Phase) -> None:
    assert status(phase).startswith("u ")


def status(phase: Phase, *, failure: str = "", retry_in: float | None = None) -> str:
    return standing(
        UnitStatus(
            unit="u",
            phase=phase,
            generation=2,
            leases=1,
            waiters=3,
            detail="",
            implements=(),
            failure=failure,
            retry_in=retry_in,
            pid=7,
        )
    )


def test_a_state_is_told_with_its_figures_and_the_last_failure() -> None:
    assert (
        "u waits before it is started again "
        "(generation 2, 1 call running, 3 calls waiting, next try in 1.2 s). It last failed: "
        "exit code 3"
    ) == status(Phase.BACKOFF, failure="exit code 3", retry_in=1.23)


def test_a_failure_is_told_without_what_is_known_and_without_the_workers_output() -> None:
    cause = "the worker is not the one that was asked for: it lacks\nA\x1b[2J\nB"
    failure = f"unit 'u' did not start: {cause}; its last output:\n    loading\n    no model"
    shown = "the worker is not the one that was asked for: it lacks\n    A [2J\n    B"
    assert status(Phase.ABSENT, failure=failure).endswith(f"It last failed: {shown}")
    refused = Event(
        unit="u",
        generation=2,
        kind="swap failed",
        detail=f"the swap failed, and nothing has changed: {failure}",
    )
    assert f"Generation 2 was refused; the one that serves goes on: {shown}".splitlines() == told(
        refused
    )


def test_a_start_names_its_cause() -> None:
    event = Event(
        unit="u", generation=2, kind="starting", trigger="call", detail="a call of a.v1.A"
    )
    assert ["Generation 2 is started for a call of a.v1.A."] == told(event)


def test_a_crash_is_told_with_all_that_is_known() -> None:
    event = Event(
        unit="u", generation=2, kind="exited", trigger="exit", detail="exit code 3", crash=CRASH
    )
    assert [
        "Generation 2 ended by itself: exit code 3",
        "    It lived 1.2 s, with 1 call, at most 3.0 MiB of memory.",
        "    Its last output:",
        "      one [2J",
        "      two",
    ] == told(event)
    failed = Event(unit="u", generation=2, kind="failed", detail="no model", crash=CRASH)
    assert [
        "Generation 2 could not be started: no model",
        "    Exit code 3; it lived 1.2 s, with 1 call, at most 3.0 MiB of memory.",
    ] == told(failed)[:2]


@pytest.mark.parametrize(
    ("kind", "detail", "sentence"),
    [
        (
            "swapping",
            "a worker has registered, at unix:/s",
            "Generation 2 comes to stand in: a worker has registered, at unix:/s",
        ),
        ("swapped", "calls go to generation 2", "Generation 2 stands in: calls go to generation 2"),
        (
            "swap failed",
            "it can't stand in: unit 'u' did not start: it lacks a.v1.A/B",
            "Generation 2 can't stand in; the one that serves goes on: it lacks a.v1.A/B",
        ),
        (
            "stopping",
            "it has given the place back",
            "Generation 2 is stopped: it has given the place back",
        ),
        (
            "backoff",
            "generation 2 comes back within 10 s; until then calls wait for it",
            "The next start waits: generation 2 comes back within 10 s; until then calls wait for it",
        ),
    ],
)
def test_a_stand_in_is_told_as_one(kind: Kind, detail: str, sentence: str) -> None:
    event = Event(unit="u", generation=2, kind=kind, trigger="stand-in", detail=detail)
    assert [sentence] == told(event)


def test_what_a_worker_wrote_moves_no_cursor() -> None:
    wrote = "one\x1b[2J\n\ttwo\r\n"
    line = LogLine(sequence=1, time=0.0, generation=2, source="my\x1blog", text=wrote)
    assert "2 my log: one [2J\n     two" == _text(line).partition(" ")[2]
    assert "it failed:\n one [2J\n two " == said(StartError("it failed:\n\x1bone\x1b[2J\n\ttwo\r"))
