"""Writes the figures into docs/benchmarks.md, and draws its pictures: `python -m bench.page`."""

import json
from collections.abc import Mapping
from pathlib import Path

from bench.measure import ROOT, Row
from bench.picture import PICTURES
from bench.table import goals, tables

PAGE = ROOT / "docs" / "benchmarks.md"
FIGURES = ROOT / "bench" / "results" / "latest.json"


def rendered() -> Mapping[Path, str]:
    """The page and its pictures, with the figures that were measured."""
    found = json.loads(FIGURES.read_text())
    rows = [Row(**each) for each in found["rows"]]
    pictures = {
        PAGE.parent / "pictures" / each.file: drawn
        for each in PICTURES
        if (drawn := each.draw(rows))
    }
    shown = "".join(
        f"![{each.title}](pictures/{each.file})\n\n"
        for each in PICTURES
        if PAGE.parent / "pictures" / each.file in pictures
    )
    machine = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    topics: dict[str, list[str]] = {}
    for row in rows:
        names = topics.setdefault(row.measured, [])
        if row.topic not in names:
            names.append(row.topic)
    measured = "".join(f"- {when}: {', '.join(names)}\n" for when, names in topics.items())
    head, mark, _ = PAGE.read_text().partition("<!-- figures -->\n")
    text = (
        f"{head}{mark}\nMeasured on {machine}:\n\n{measured}\n{shown}"
        f"## Goals\n\n{goals(rows)}\n## All figures\n\n{tables(rows)}"
    )
    return {PAGE: text, **pictures}


def main() -> None:
    for path, text in rendered().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
