"""`hsu-worker doctor`: all findings, and what they come to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hsu_worker.doctor import examine as examining
from hsu_worker.doctor.finding import Check, Finding, ok, problem, warning
from tests.cli.inside import run


def finding(*found: Finding) -> Check:
    def check(_folder: Path) -> Iterator[Finding]:
        yield from found

    return check


def broken(_folder: Path) -> Iterator[Finding]:
    raise ZeroDivisionError("by zero")


WELL = ok("one", "it is there")
WARNING = warning("number-two", "it is old", "get another")
PROBLEM = problem("three", "it is wrong:\nhere, and\nthere\x1b[2J", "mend it")


@pytest.mark.parametrize(
    ("found", "code", "last"),
    [
        ([WELL], 0, "all is well"),
        ([WELL, WARNING, WARNING], 0, "2 warnings"),
        ([PROBLEM, WARNING], 1, "1 problem, 1 warning"),
        ([PROBLEM, PROBLEM, WELL], 1, "2 problems"),
    ],
)
def test_the_exit_code_is_1_when_something_will_not_work(
    monkeypatch: pytest.MonkeyPatch, found: list[Finding], code: int, last: str
) -> None:
    monkeypatch.setattr(examining, "CHECKS", (finding(*found),))
    done = run("doctor")
    assert (code, "") == (done.exit_code, done.stderr)
    assert last == done.stdout.splitlines()[-1]


def test_each_finding_is_a_line_with_its_cure_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "CHECKS", (finding(WELL, WARNING, PROBLEM),))
    assert (
        """\
ok       one          it is there
warning  number-two   it is old
                      -> get another
problem  three        it is wrong:
                      here, and
                      there [2J
                      -> mend it
ok       environment  no variable of this shell is misspelt
1 problem, 1 warning
"""
        == run("doctor").stdout
    )


def test_findings_are_json_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "CHECKS", (finding(WELL, WARNING),))
    *found, environment = run("doctor", "--json").json
    assert "environment" == environment["id"]
    assert [
        {"id": "one", "verdict": "ok", "cause": "it is there", "cure": ""},
        {"id": "number-two", "verdict": "warning", "cause": "it is old", "cure": "get another"},
    ] == found


def test_a_check_that_breaks_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "CHECKS", (broken, finding(WELL)))
    done = run("doctor")
    assert 1 == done.exit_code
    assert [
        "problem  broken       the check itself failed: ZeroDivisionError: by zero",
        "                      -> report it, please",
        "ok       one          it is there",
        "ok       environment  no variable of this shell is misspelt",
        "1 problem",
    ] == done.stdout.splitlines()


def test_this_checkout_has_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    found = run("doctor", "--json")
    assert "" == found.stderr
    assert 0 == found.exit_code, found.stdout
