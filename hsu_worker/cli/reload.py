"""`hsu-worker reload`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hsu_worker.cli._asking import ask, asks_a_master, print_json
from hsu_worker.cli._reloads import summary

if TYPE_CHECKING:
    from hsu_worker.master.remote import RemoteMaster


@click.command()
@asks_a_master
def command(where: str | None, token_file: Path | None, as_json: bool) -> None:
    """Let a master read its hsu.toml again.

    Units whose tables have not changed go on undisturbed. One that is launched otherwise, and
    serves, goes on until the new one takes its place; one that is no longer there is stopped after
    its running calls. A file with a mistake changes nothing.
    """

    async def reload(master: "RemoteMaster") -> None:
        changes = await master.reload()
        if as_json:
            print_json(asdict(changes))
        else:
            click.echo(summary(changes))

    ask(where, token_file, reload)
