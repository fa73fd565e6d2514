"""The figures in the docs are those that were measured, and what measures them runs."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench import first_steps
from bench.measure import Row, table
from bench.page import PAGE, rendered

ROOT = Path(__file__).parents[1]


def test_the_page_shows_what_was_measured() -> None:
    assert rendered() == PAGE.read_text()


def test_the_page_of_the_first_steps_shows_what_was_measured() -> None:
    assert first_steps.rendered() == first_steps.PAGE.read_text()


@pytest.mark.timeout(300)
def test_the_first_steps_can_be_taken() -> None:
    """Here with what is installed already; `make first-steps` begins with the wheel."""
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as folder:
        steps = [what for what, _, _ in first_steps.used(Path(sys.executable).parent, Path(folder))]
    assert [
        "make a project",
        "test it",
        "serve it",
        "call it",
        "edit it",
        "start it by a master",
    ] == steps


def test_a_row_can_be_measured(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    subprocess.run(
        [sys.executable, "-m", "bench", "recovery", "--out", str(out)],
        cwd=ROOT,
        check=True,
        timeout=120,
        capture_output=True,
    )
    (row,) = json.loads(out.read_text())["rows"]
    assert {"control", "kill -9", "control again"} == set(row["samples"])
    assert 5 == len(row["samples"]["kill -9"])


def test_a_ratio_is_taken_round_by_round() -> None:
    row = Row(name="r", unit="s", samples={"control": [1.0, 2.0, 4.0], "other": [2.0, 2.0, 2.0]})
    assert {"other": (1.0, 0.5, 2.0)} == row.ratios()
    assert table([row.as_json()]).splitlines()[2:] == [
        "| r: control | 2.00 s (1.00 to 4.00) |  |",
        "| r: other | 2.00 s (2.00 to 2.00) | 1.00 (0.50 to 2.00) |",
    ]
