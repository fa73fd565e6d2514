"""`python -m bench`: measures, prints a table, keeps the figures."""

import asyncio
import json
import sys
from pathlib import Path
from time import strftime
from typing import Any

import click

from bench.measure import machine, table
from bench.rows import ROWS


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ROWS)))
@click.option("--full", is_flag=True, help="More rounds, and the numbers that the docs show.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the raw figures go; without it they are printed only.",
)
def main(names: tuple[str, ...], full: bool, out: Path | None) -> None:
    """Measure the master; all rows, or those named."""
    rows: list[dict[str, Any]] = []
    for name in names or ROWS:
        if sys.stderr.isatty():
            print(f"{name} ...", file=sys.stderr)
        rows += [row.as_json() for row in asyncio.run(ROWS[name](full))]
    print(table(rows))
    if out is not None:
        found = {"date": strftime("%Y-%m-%d"), "machine": machine(), "rows": rows}
        out.write_text(json.dumps(found, indent=1) + "\n")
    if lost := sum(row["counts"].get("calls lost", 0) for row in rows):
        sys.exit(f"{lost} calls were lost")


main()
