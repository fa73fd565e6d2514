"""Writes the figures into docs/benchmarks.md: `python -m bench.page`."""

import json

from bench.measure import ROOT, table

PAGE = ROOT / "docs" / "benchmarks.md"


def rendered() -> str:
    """The page, with the figures that were measured."""
    found = json.loads((ROOT / "bench" / "results" / "latest.json").read_text())
    machine = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    head, mark, _ = PAGE.read_text().partition("<!-- table -->\n")
    return f"{head}{mark}\nMeasured on {found['date']}: {machine}.\n\n{table(found['rows'])}"


def main() -> None:
    PAGE.write_text(rendered())


if __name__ == "__main__":
    main()
