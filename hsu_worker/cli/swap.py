"""`hsu-worker swap`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hsu_worker.cli import _completing
from hsu_worker.cli._asking import ask, asks_a_master, print_json

if TYPE_CHECKING:
    from hsu_worker.master.remote import RemoteMaster


@click.command()
@click.argument("unit", shell_complete=_completing.units)
@click.argument("program", nargs=-1, metavar="[-- COMMAND ARGS...]", type=click.UNPROCESSED)
@click.option("--app", metavar="MODULE:APP", help="A Python worker.")
@asks_a_master
def command(
    unit: str,
    program: tuple[str, ...],
    app: str | None,
    where: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    r"""Put another implementation in a unit's place, and lose no call.

    \b
      hsu-worker swap summarizer --app summaries2:App
      hsu-worker swap index -- ./bin/hsu_b --cache 64

    It is started beside the old one. When it is ready, and offers all that the old one does, new
    calls go to it, and the old one is stopped after its last call. Otherwise the old one serves on.
    Without --app and COMMAND, the same implementation is started once more.
    """
    if app and program:
        raise click.UsageError("--app and a command exclude each other")

    async def swap(master: "RemoteMaster") -> None:
        generation = await master.swap(unit, app=app, command=_from_here(program))
        if as_json:
            print_json({"unit": unit, "generation": generation})
        else:
            click.echo(f"{unit} is swapped: generation {generation} serves")

    ask(where, token_file, swap)


def _from_here(program: tuple[str, ...]) -> tuple[str, ...] | None:
    """A path is relative to this shell's folder, and the master has another one."""
    if not program:
        return None
    first, *arguments = program
    return (os.path.abspath(first) if os.sep in first else first, *arguments)
