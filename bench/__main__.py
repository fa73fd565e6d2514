"""`python -m bench`: measures, prints tables, keeps the figures."""

import asyncio
import compileall
import json
import os
import sys
from pathlib import Path
from time import perf_counter, strftime
from typing import Any

import click

# What grpc says when a worker that it knows is stopped is nobody's concern here.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from bench.measure import ROOT, Row, machine
from bench.rows import ROWS
from bench.table import goals, tables


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ROWS)))
@click.option("--full", is_flag=True, help="More rounds, and the numbers that the docs show.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the raw figures go; those of other topics stay. Without it they are printed only.",
)
def main(names: tuple[str, ...], full: bool, out: Path | None) -> None:
    """Measure workers and the master; all topics, or those named."""
    # As pip does when it installs: without bytecode each start would compile what has changed.
    for folder in ("hsu_worker", "bench", "tests"):
        compileall.compile_dir(ROOT / folder, quiet=1)
    rows: list[Row] = []
    for name in names or ROWS:
        began = perf_counter()
        if sys.stderr.isatty():
            print(f"{name} ... ", end="", file=sys.stderr, flush=True)
        found = asyncio.run(ROWS[name](full))
        for row in found:
            row.topic = name
        rows += found
        if sys.stderr.isatty():
            print(f"{perf_counter() - began:.0f} s", file=sys.stderr)
    print(tables(rows))
    if not names:
        print(goals(rows))
    if out is not None:
        keep(out, rows, full)
    if lost := sum(row.counts.get("calls lost", 0) for row in rows):
        sys.exit(f"{lost} calls were lost")


def keep(out: Path, rows: list[Row], full: bool) -> None:
    """Write figures into a file; those of topics that were not measured stay there."""
    found = machine()
    measured = f"{strftime('%Y-%m-%d')}, commit {found.pop('commit')}, {'full' if full else 'quick'} rounds"
    for row in rows:
        row.measured = measured
    before = json.loads(out.read_text()) if out.exists() else {"rows": []}
    if before["rows"] and before["machine"] != found:
        sys.exit(f"{out} is of another machine: {before['machine']}, this is {found}")
    topics = {
        row.topic: [each.as_json() for each in rows if each.topic == row.topic] for row in rows
    }
    others: dict[str, list[Any]] = {}
    for each in before["rows"]:
        if each["topic"] not in topics:
            others.setdefault(each["topic"], []).append(each)
    known = others | topics
    kept = {"machine": found, "rows": [each for name in ROWS for each in known.get(name, ())]}
    out.write_text(json.dumps(kept, indent=1) + "\n")


main()
