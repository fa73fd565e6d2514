"""`hsu-worker why`."""

from dataclasses import asdict
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
    """Tell how a unit stands, and how it came to that.

    The last starts, stops, crashes and refusals, each with what caused it and what shows it.
    """
    from hsu_worker.cli._sentences import about, standing

    async def explain(master: "RemoteMaster") -> None:
        events = await master.why(unit)
        status = (await master.status())[unit]
        if as_json:
            print_json({"status": asdict(status), "events": [asdict(event) for event in events]})
            return
        click.echo(standing(status))
        for event in events:
            click.echo(about(event))

    ask(where, token_file, explain)
