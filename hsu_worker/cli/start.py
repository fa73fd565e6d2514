"""`hsu-worker start`."""

import time
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
@asks_a_master
def command(
    units: tuple[str, ...], where: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Start units, all at the same time, and wait until they are ready.

    What stood against a start (a backoff, a fault, `stop --hold`) is forgotten. Ctrl-C stops the
    waiting, not the start.
    """
    from hsu_worker.cli._progress import ProgressLine

    async def start(master: "RemoteMaster") -> None:
        async with ProgressLine() as line:

            async def start_one(unit: str) -> dict[str, Any]:
                began = time.monotonic()

                def report(fraction: float, text: str) -> None:
                    line.report(unit, fraction, text)

                try:
                    generation = await master.start(unit, on_progress=report)
                finally:
                    line.done(unit)
                if not as_json:
                    seconds = time.monotonic() - began
                    click.echo(f"{unit} is ready: generation {generation}, after {seconds:.1f} s")
                return {"generation": generation}

            await do_each(units, start_one, as_json=as_json)

    ask(where, token_file, start)
