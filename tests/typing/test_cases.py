"""Both type checkers over `accept/` and `reject/`, a file per case.

Above a line that has to be rejected stands, for each checker, a part of its message:

    # error[mypy]: expected "Path"
    # error[pyright]: is not assignable to "Path"
    Summarizer("stopwords.txt")

An error of a checker on a line that doesn't say so fails the test, and so does a line that says so
and is accepted. Further errors on such a line are only consequences.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = sorted([*HERE.glob("accept/*.py"), *HERE.glob("reject/*.py")])

Run = Callable[[], Iterator[tuple[str, int, str]]]


def errors_of_mypy() -> Iterator[tuple[str, int, str]]:
    command = [sys.executable, "-m", "mypy", "--strict", "--output=json", *map(str, CASES)]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    for line in done.stdout.splitlines():
        error = json.loads(line)
        yield error["file"], error["line"], f"{error['message']} {error['hint'] or ''}"


def errors_of_pyright() -> Iterator[tuple[str, int, str]]:
    command = [sys.executable, "-m", "pyright", f"--project={HERE}", "--outputjson"]
    command.append(f"--pythonpath={sys.executable}")
    # It would look for a newer version of itself.
    environ = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert len(CASES) == report["summary"]["filesAnalyzed"]
    for error in report["generalDiagnostics"]:
        yield error["file"], error["range"]["start"]["line"] + 1, error["message"]


def expected_errors(checker: str) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for case in CASES:
        told: list[str] = []
        for number, line in enumerate(case.read_text().splitlines(), 1):
            if match := re.match(r" *# error\[(mypy|pyright)\]: (.+)", line):
                told += [match[2]] if match[1] == checker else []
            elif told:
                (found[f"{case.parent.name}/{case.name}", number],) = told
                told = []
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("checker", "run"), [("mypy", errors_of_mypy), ("pyright", errors_of_pyright)]
)
def test_the_checkers_accept_and_reject_what_they_should(checker: str, run: Run) -> None:
    actual: dict[tuple[str, int], list[str]] = {}
    for file, line, message in run():
        actual.setdefault(("/".join(Path(file).parts[-2:]), line), []).append(message)
    expected = expected_errors(checker)
    accepted = {
        where: part
        for where, part in expected.items()
        if not any(part in message for message in actual.get(where, []))
    }
    unexpected = {where: messages for where, messages in actual.items() if where not in expected}
    assert ({}, {}) == (accepted, unexpected)


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_each_case_to_reject_says_where(checker: str) -> None:
    rejected = {file for file, _ in expected_errors(checker)}
    assert {f"reject/{case.name}" for case in HERE.glob("reject/*.py")} == rejected
