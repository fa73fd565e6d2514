"""`hsu-worker stop`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hsu_worker.cli import _completing
from hsu_worker.cli._asking import ask, asks_a_master, do_each

if TYPE_CHECKING:
    from hsu_worker.master.remote import RemoteMaster


@click.command()
@click.argument(
    "units", nargs=-1, required=True, metavar="UNIT...", shell_complete=_completing.units
)
@click.option("--hold", is_flag=True, help="Refuse calls until `hsu-worker start`.")
@asks_a_master
def command(
    units: tuple[str, ...], hold: bool, where: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Stop units, all at the same time: running calls end first.

    The next call starts a unit again, unless --hold says otherwise.
    """

    async def stop(master: "RemoteMaster") -> None:
        async def stop_one(unit: str) -> dict[str, Any]:
            await master.stop(unit, hold=hold)
            # It may have been held before.
            held = (await master.status())[unit].phase == "held"
            if not as_json:
                until = f", and held until `hsu-worker start {unit}`" if held else ""
                click.echo(f"{unit} is stopped{until}")
            return {"held": held}

        await do_each(units, stop_one, as_json=as_json)

    ask(where, token_file, stop)
