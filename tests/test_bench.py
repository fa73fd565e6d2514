"""The figures in the docs are those that were measured, and what measures them runs."""

import json
import subprocess
import sys
from pathlib import Path

from bench.goals import GOALS, Goal
from bench.measure import Row
from bench.page import rendered
from bench.picture import PICTURES
from bench.rows import ROWS
from bench.rows.crowds import crowd
from bench.rows.replicas import replicated
from bench.rows.scale import configured, running
from bench.table import goals, table

ROOT = Path(__file__).parents[1]


def test_the_page_and_its_pictures_show_what_was_measured() -> None:
    for path, text in rendered().items():
        assert text == path.read_text()


def test_every_topic_of_the_page_is_measured_and_the_other_way_round() -> None:
    found = json.loads((ROOT / "bench" / "results" / "latest.json").read_text())
    assert list(ROWS) == list(dict.fromkeys(row["topic"] for row in found["rows"]))


def test_every_goal_and_every_picture_has_figures() -> None:
    found = json.loads((ROOT / "bench" / "results" / "latest.json").read_text())
    rows = [Row(**each) for each in found["rows"]]
    assert [] == [goal.text for goal in GOALS if goal.found(rows) is None]
    assert [] == [each.file for each in PICTURES if not each.draw(rows)]


def test_topics_can_be_measured_from_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    subprocess.run(
        [sys.executable, "-m", "bench", "dispatch", "recovery", "--out", str(out)],
        cwd=ROOT,
        check=True,
        timeout=120,
        capture_output=True,
    )
    one, other = json.loads(out.read_text())["rows"]
    assert {"control", "ours", "control again"} == set(one["samples"])
    assert {"control", "kill -9", "control again"} == set(other["samples"])
    assert 5 == len(other["samples"]["kill -9"])


def test_a_ratio_is_taken_round_by_round() -> None:
    row = Row(
        name="r",
        unit="s",
        samples={
            "control": [1.0, 2.0, 4.0],
            "other": [2.0, 2.0, 2.0],
            "control again": [1.0, 1.0, 4.0],
        },
    )
    assert (1.0, 0.5, 2.0) == row.ratio("other")
    assert (0.0, -2.0, 1.0) == row.difference("other")
    [line] = table([row]).splitlines()[2:]
    cells = [cell.strip() for cell in line.split("|")]
    assert ["r: other", "2.00 s (2.00 to 2.00)", "2.00 s (1.00 to 4.00)"] == cells[1:4]
    assert ["1.00 (0.50 to 2.00)", "1.00 (0.50 to 1.00)"] == cells[4:6]


def test_a_goal_is_met_by_the_median_and_knows_noise_from_cost() -> None:
    row = Row(
        name="r",
        unit="ms",
        samples={"control": [8.0, 8.0], "ours": [9.0, 11.0], "control again": [8.0, 10.0]},
    )
    for goal, figure, bound, met in (
        (Goal(text="", row="r", series="ours", most=1.1), (1.25, 1.125, 1.375), 1.1, False),
        (Goal(text="", row="r", series="ours"), (1.25, 1.125, 1.375), 1.1875, False),
        (
            Goal(text="", row="r", series="ours", against="control", most=2, unit="ms"),
            (2.0, 1.0, 3.0),
            2,
            True,
        ),
        (Goal(text="", row="r", series="ours", least=11, unit="ms"), (10.0, 9.0, 11.0), 11, False),
    ):
        found = goal.found([row])
        assert found is not None
        assert figure == found.figure
        assert (bound, met) == (found.bound, goal.met(found))
    assert Goal(text="", row="another", series="ours").found([row]) is None


def test_one_bad_round_of_the_control_hides_no_cost() -> None:
    goal = Goal(text="", row="r", series="ours")
    for again, met in (([8.0, 8.0, 8.0, 8.0, 80.0], False), ([8.0, 8.0, 8.0, 9.0, 9.0], True)):
        samples = {"control": [8.0] * 5, "ours": [9.0] * 5, "control again": again}
        found = goal.found([Row(name="r", unit="µs", samples=samples)])
        assert found is not None
        assert met is goal.met(found)


def test_a_goal_tells_what_its_figure_leaves_out() -> None:
    found = json.loads((ROOT / "bench" / "results" / "latest.json").read_text())
    rows = [Row(**each) for each in found["rows"]]
    [row] = [row for row in rows if "1 reader: dropped" in row.counts]
    row.counts["1 reader: dropped"] = 67_236
    [line] = [line for line in goals(rows).splitlines() if line.startswith("| log records")]
    assert "), 67,236 lost |" in line


def test_what_the_costs_are_made_of_can_be_measured() -> None:
    command = [sys.executable, "-m", "bench.profile", "--quick"]
    done = subprocess.run(
        command, cwd=ROOT, check=True, timeout=120, capture_output=True, text=True
    )
    for what in ("a unary call", "a log record", "imports, spawned", "a prewarmed start"):
        assert f"\n{what}, " in done.stdout
    for each in ("bare", "spawned", "forked"):
        assert f"\na start, {each}: processor time, ms\n  worker " in done.stdout
    assert "\na call of 100 KB, bare, each\n  page faults " in done.stdout


async def test_a_crowd_is_started_measured_and_stopped() -> None:
    answered, first, shared, private, beside = await crowd(2, 1)
    series = ("control", "spawned", "bare, forked", "forked", "control again")
    for row in (answered, first, shared, private):
        assert series == tuple(row.samples)
    assert {"the keeper", "its template and spare"} == set(beside.samples)


async def test_replicas_are_measured_beside_a_single_worker() -> None:
    [row] = await replicated(full=False)
    assert {"control", "2 replicas", "control again"} == set(row.samples)


async def test_few_of_many_units_run() -> None:
    time, idle, taken = await running(3, 0.1)
    assert {"all have answered", "all have stopped"} == set(time.samples)
    for row in (idle, taken):
        assert "all workers together" in row.samples


async def test_units_that_are_only_configured_are_measured() -> None:
    time, grown = await configured(full=False)

    assert ["read the file", "start"] == [*time.samples]
    assert 1 == len(grown.samples["resident, grown by"])
