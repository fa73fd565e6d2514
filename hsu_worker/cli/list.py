"""`hsu-worker list`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hsu_worker.cli._asking import ask, asks_a_master, print_json
from hsu_worker.cli._tables import table

if TYPE_CHECKING:
    from hsu_worker.master.remote import RemoteMaster
    from hsu_worker.master.unit_status import UnitStatus

_HEAD = ("UNIT", "PHASE", "GENERATION", "CALLS", "WAITING", "")
_NUMBERS = (2, 3, 4)


@click.command()
@asks_a_master
def command(where: str | None, token_file: Path | None, as_json: bool) -> None:
    """Show the units of a running master, and how they stand.

    CALLS run, WAITING ones wait for a start.
    """

    async def show(master: "RemoteMaster") -> None:
        from hsu_worker.cli._sentences import failure, next_try

        def remarks(unit: "UnitStatus") -> str:
            failed = failure(unit).partition("\n")[0]
            last = f"last failure: {failed}" if failed else ""
            return "; ".join(filter(None, (unit.detail, next_try(unit), last)))

        status = (await master.status()).values()
        if as_json:
            print_json([asdict(unit) for unit in status])
        else:
            for line in table(
                [_HEAD, *((*_row(unit), remarks(unit)) for unit in status)], _NUMBERS
            ):
                click.echo(line)

    ask(where, token_file, show)


def _row(status: "UnitStatus") -> tuple[str, ...]:
    return (
        status.unit,
        status.phase,
        *(f"{number}" for number in (status.generation, status.leases, status.waiters)),
    )
