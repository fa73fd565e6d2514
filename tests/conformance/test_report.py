"""What a run says: to people, to programs, to CI systems."""

import json
from collections.abc import Awaitable
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hsu_worker.conformance import Check, Level, Outcome, Report, Result, junit
from hsu_worker.conformance.catalog import chosen
from hsu_worker.errors import ConfigError


def nothing(_lab: Any) -> Awaitable[None]:
    raise AssertionError("nobody makes these checks")


def result(
    name: str, level: Level, outcome: Outcome, *, group: str = "pings", **found: Any
) -> Result:
    made = Check(
        id=name,
        level=level,
        proves=("C13",),
        claim=f"{name} holds.",
        why="It has a reason.",
        run=nothing,
        group=group,
    )
    return Result(check=made, outcome=outcome, seconds=0.25, **found)


FAULT: dict[str, Any] = {
    "expected": "a pong",
    "seen": "silence\nor noise\x1b",
    "output": ["stderr: oh"],
}
REPORT = Report(
    target="./bin/worker --fast",
    results=[
        result("one", Level.MUST, Outcome.PASSED, group="environment"),
        result("two", Level.MUST, Outcome.FAILED, **FAULT),
        result("three", Level.SHOULD, Outcome.FAILED, expected="more", seen="less"),
        result("four", Level.MUST, Outcome.FAILED, **FAULT),
        result("five", Level.MAY, Outcome.SKIPPED, reason="it takes a --flag"),
        result("six", Level.SHOULD, Outcome.PASSED),
    ],
    seconds=1.25,
)
SOUND = Report(target="./w", results=[REPORT.results[0], REPORT.results[2]], seconds=1)


def test_people_read_failures_first_and_one_fault_once() -> None:
    assert str(REPORT).split("\n") == [
        "checked ./bin/worker --fast",
        "",
        "FAILED must two: two holds.",
        "  why:       It has a reason. (docs/launch-contract.md, C13)",
        "  expected:  a pong",
        "  seen:      silence",
        "             or noise\x1b",
        "  output:    stderr: oh",
        "  so do:     four",
        "",
        "FAILED should three: three holds.",
        "  why:       It has a reason. (docs/launch-contract.md, C13)",
        "  expected:  more",
        "  seen:      less",
        "",
        "passed",
        "  environment:   one",
        "  pings:         six",
        "",
        "skipped",
        "  five: it takes a --flag",
        "",
        "failed: must 1 of 3, should 1 of 2, may 0 of 1 (1 not proven); 1.2 s",
    ]


def test_a_report_passes_unless_a_must_has_failed() -> None:
    assert not REPORT.passed
    assert SOUND.passed
    assert [False, True] == [SOUND.passes(Level.SHOULD), SOUND.passes(Level.MUST)]
    assert str(SOUND).endswith("\npassed: must 1 of 1, should 0 of 1; 1.0 s")


def test_what_was_skipped_is_no_proof() -> None:
    skipped = result("seven", Level.MUST, Outcome.SKIPPED, reason="it takes a --flag")
    some = Report(target="./w", results=[REPORT.results[0], skipped, REPORT.results[4]], seconds=1)
    assert some.passed
    assert str(some).endswith(
        "\npassed: must 1 of 2 (1 not proven), may 0 of 1 (1 not proven); 1.0 s"
    )
    assert [["seven"], ["seven", "five"]] == [
        [each.check.id for each in some.unproven(bar)] for bar in (Level.MUST, Level.MAY)
    ]
    none = Report(target="./w", results=[skipped], seconds=1)
    assert (False, False) == (none.made, none.passes(Level.MUST))
    assert str(none).endswith("\nnothing was checked: all of it was skipped; 1.0 s")


def test_programs_read_everything() -> None:
    document = json.loads(json.dumps(REPORT.document()))
    assert (False, "./bin/worker --fast") == (document["passed"], document["target"])
    assert {"passed": 1, "failed": 2, "skipped": 0} == document["score"]["must"]
    assert {
        "id": "two",
        "group": "pings",
        "level": "must",
        "claim": "two holds.",
        "why": "It has a reason.",
        "requirements": ["C13"],
        "outcome": "failed",
        "expected": "a pong",
        "seen": "silence\nor noise\x1b",
        "output": ["stderr: oh"],
        "reason": "",
        "seconds": 0.25,
    } == document["checks"][1]


def test_ci_systems_read_what_fails_at_the_bar() -> None:
    suite = ET.fromstring(junit(REPORT)).find("testsuite")
    assert suite is not None
    assert {
        "name": "hsu-worker check: ./bin/worker --fast",
        "tests": "6",
        "failures": "2",
        "errors": "0",
        "skipped": "2",
        "time": "1.250",
    } == suite.attrib
    two, three = suite[1], suite[2]
    assert {"classname": "pings.must", "name": "two", "time": "0.250"} == two.attrib
    failure = two.find("failure")
    assert failure is not None
    # What XML can't hold is replaced.
    assert "expected a pong; seen: silence\nor noise\N{REPLACEMENT CHARACTER}" in str(failure.text)
    skipped = three.find("skipped")
    assert skipped is not None
    assert "should, and not met: expected more; seen: less" == skipped.get("message")


def test_the_bar_can_be_lower() -> None:
    suite = ET.fromstring(junit(REPORT, Level.SHOULD)).find("testsuite")
    assert suite is not None
    assert ("3", "1") == (suite.get("failures"), suite.get("skipped"))


def test_checks_are_chosen_by_their_ids_in_their_own_order() -> None:
    some = [each.id for each in chosen(["sigterm", "ping-echo", "lifeline"], ["lifeline"])]
    assert ["ping-echo", "sigterm"] == some


def test_an_unknown_id_is_told_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError) as raised:
        chosen(["ping-eco"], ["x" * 40])
    assert str(raised.value).splitlines() == [
        "there is no check 'ping-eco'; did you mean 'ping-echo'?",
        f"there is no check {'x' * 40!r}; `hsu-worker check --list` shows them",
    ]
