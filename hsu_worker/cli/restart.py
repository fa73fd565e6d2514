"""`hsu-worker restart`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hsu_worker.cli import _completing
from hsu_worker.cli._asking import ask, asks_a_master, print_json

if TYPE_CHECKING:
    from hsu_worker.master.remote import RemoteMaster


@click.command()
@click.argument("unit", shell_complete=_completing.units)
@asks_a_master
def command(unit: str, where: str | None, token_file: Path | None, as_json: bool) -> None:
    """Stop a unit and start it again. Running calls end first; those that come meanwhile wait."""

    async def restart(master: "RemoteMaster") -> None:
        generation = await master.restart(unit)
        if as_json:
            print_json({"unit": unit, "generation": generation})
        else:
            click.echo(f"{unit} is ready: generation {generation}")

    ask(where, token_file, restart)
