"""`hsu-worker logs`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hsu_worker.cli import _completing
from hsu_worker.cli._asking import ask, asks_a_master, plain, print_json
from hsu_worker.cli._copies import Copies

if TYPE_CHECKING:
    from hsu_worker.master.logs import LogLine
    from hsu_worker.master.remote import RemoteMaster


@click.command()
@click.argument("unit", shell_complete=_completing.units)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n",
    "--tail",
    type=click.IntRange(min=1),
    metavar="N",
    help="Begin N lines before the end. [default: with the oldest that is kept]",
)
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="SEQUENCE",
    help="Begin after the line with this number, which --json shows.",
)
@asks_a_master
def command(
    unit: str,
    follow: bool,
    tail: int | None,
    after: int | None,
    where: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Show the output and the log records of a unit.

    Each line has its time, its generation, and where it comes from: stdout, stderr, or the name of
    a logger. A failure that stderr has shown is not shown again as a record. With --json, each is a
    JSON document of its own, and so is the number of lines that were lost before it.
    """
    if after is not None and tail is not None:
        raise click.UsageError("--after and --tail exclude each other")

    copies = Copies()

    async def show(master: "RemoteMaster") -> None:
        async for batch in master.follow_log(unit, after=after or 0, tail=tail or 0, follow=follow):
            if batch.dropped and as_json:
                print_json({"dropped": batch.dropped}, indent=None)
            elif batch.dropped:
                click.echo(f"({batch.dropped} lines are lost)", err=True)
            for line in batch.lines:
                if as_json:
                    print_json(line._asdict(), indent=None)
                elif not copies.is_one(line):
                    click.echo(_text(line))

    try:
        ask(where, token_file, show)
    except KeyboardInterrupt:
        # The way to end it.
        if not follow:
            raise


def _text(line: "LogLine") -> str:
    time = datetime.fromtimestamp(line.time).astimezone()
    # A record with its traceback has several lines.
    text = "\n    ".join(map(plain, line.text.rstrip().split("\n")))
    source = plain(line.source)
    return f"{time:%H:%M:%S.%f}"[:-3] + f" {line.generation} {source}: {text}".rstrip()
