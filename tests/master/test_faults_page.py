"""docs/faults.md: the tests that it names exist, and so do the planted bugs."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.master import (
    test_faults_mutants,
    test_fork,
    test_keeper_mutants,
    test_keeper_templates,
    test_replicas_mutants,
    test_survival_mutants,
)
from tests.master.sim import mutants, survival_mutants, town_mutants
from tests.worker import test_spare

TESTS = Path(__file__).parents[1]
ROWS = {
    cells[0]: cells
    for line in (TESTS.parent / "docs" / "faults.md").read_text().splitlines()
    if (cells := [cell.strip() for cell in line.strip("|").split("|")])[0].startswith("T")
}

#: The faults that only a process can show.
PROCESSES = {
    f"T{n}" for n in (*range(7, 14), *range(16, 28), *range(31, 39), 41, 42, *range(43, 55))
}


@cache
def functions_of(file: str) -> set[str]:
    folder = TESTS if "/" in file else TESTS / "master"
    tree = ast.parse((folder / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, functions)}


def named(row: str) -> Iterator[tuple[str, str, str]]:
    """How each test of a row is run, its file and its name."""
    yield from re.findall(r"([SCP]) `([\w/]+\.py)::(\w+)`", ROWS[row][3])


def test_each_fault_of_today_has_a_row() -> None:
    assert [f"T{n}" for n in range(1, 55)] == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_of_a_row_exist(row: str) -> None:
    tests = list(named(row))
    assert len(tests) == ROWS[row][3].count("::") > 0
    assert [] == [f"{file}::{test}" for _, file, test in tests if test not in functions_of(file)]
    assert row not in PROCESSES or "P" in {kind for kind, _, _ in tests}


def test_the_planted_bugs_are_where_the_page_says() -> None:
    planted = {
        "sim/mutants.py": {row for each in mutants.MUTANTS for row in each.rows.split()},
        "sim/town_mutants.py": {each.rows for each in town_mutants.MUTANTS},
        "sim/survival_mutants.py": {bug[0].rows for bug in survival_mutants.MUTANTS},
        "test_keeper_mutants.py": {
            each.fault.partition(":")[0] for each in test_keeper_mutants.MUTANTS
        },
        "test_keeper_templates.py": {"T50" for _ in test_keeper_templates.PLANTED},
        "test_replicas_mutants.py": {"T53" for _ in test_replicas_mutants.MUTANTS},
        "test_survival_mutants.py": {each.row for each in test_survival_mutants.MUTANTS},
        "test_fork.py": {row for row, *_ in test_fork.PLANTED},
        "worker/test_spare.py": {"T54" for _ in test_spare.PLANTED},
        "test_faults_mutants.py": {
            *("T34", "T43"),
            *(each.rows for found in test_faults_mutants.MUTANTS.values() for each in found),
        },
    }
    told = {
        file: {row for row, cells in ROWS.items() if f"`{file}`" in cells[4]} for file in planted
    }
    assert planted == told
