"""Figures as Markdown."""

from collections.abc import Sequence
from itertools import groupby

from bench.goals import GOALS
from bench.measure import Row

HEAD = (
    "| what | figure | control | ratio (least to most) | noise |\n| --- | --- | --- | --- | --- |\n"
)


def tables(rows: Sequence[Row]) -> str:
    """A table for each topic. The noise is the ratio of the control to itself."""
    return "\n".join(
        f"### {topic}\n\n{table(list(of_topic))}"
        for topic, of_topic in groupby(rows, lambda row: row.topic)
    )


def table(rows: Sequence[Row]) -> str:
    """A line for each series."""
    lines = []
    for row in rows:
        control = row.figure("control")
        base = control.text(row.unit) if control else ""
        again = row.ratio("control again")
        noise = again.text() if again else ""
        for series in row.samples:
            if series in ("control", "control again"):
                continue
            figure, ratio = row.figure(series), row.ratio(series)
            assert figure is not None
            cells = (
                f"{row.name}: {series}",
                figure.text(row.unit),
                base,
                ratio.text() if ratio else "",
            )
            lines.append(_line(*cells, noise))
        lines += [
            _line(f"{row.name}: {name}", f"{n:,}", "", "", "") for name, n in row.counts.items()
        ]
    return HEAD + "".join(lines)


def goals(rows: Sequence[Row]) -> str:
    """What is to be reached, and what is."""
    lines = ["| goal | at the most | figure (least to most) | |\n| --- | --- | --- | --- |\n"]
    for goal in GOALS:
        found = goal.found(rows)
        if found is None:
            cells = (goal.text, goal.bound_text(None), "not measured", "")
        else:
            met = "met" if goal.met(found) else "**not met**"
            lost = "" if found.lost is None else f", {found.lost:,} lost"
            figure = f"{found.figure.text(goal.unit)}{lost}"
            cells = (goal.text, goal.bound_text(found), figure, met)
        lines.append(_line(*cells))
    return "".join(lines)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"
