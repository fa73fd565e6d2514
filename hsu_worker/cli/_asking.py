"""What all commands that ask a running master share: which one, and how its answers are shown."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hsu_worker.cli import said

if TYPE_CHECKING:
    from hsu_worker.master.remote import RemoteMaster

CommandT = TypeVar("CommandT", bound=Callable[..., None])


def asks_a_master(command: CommandT) -> CommandT:
    """Add the options that say which master, and `--json`."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--token-file",
            metavar="FILE",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="The file that holds the master's token. [default: what HSU_MASTER_TOKEN_FILE names, "
            "or the one beside its socket]",
        ),
        click.option(
            "--master",
            "where",
            envvar="HSU_MASTER",
            metavar="WHERE",
            help="The master's address or folder. [default: what HSU_MASTER says, or the only one "
            "that you run]",
        ),
    ):
        command = option(command)
    return command


def ask(
    where: str | None, token_file: Path | None, use: "Callable[[RemoteMaster], Awaitable[None]]"
) -> None:
    """Connect to the master, and use it."""
    from hsu_worker.master.remote import RemoteMaster

    async def connected() -> None:
        async with RemoteMaster(where, token_file=token_file) as master:
            await use(master)

    asyncio.run(connected())


async def do_each(
    units: Sequence[str], act: Callable[[str], Awaitable[dict[str, Any]]], *, as_json: bool
) -> None:
    """Do something with units, all at the same time; what fails stops none of the others.

    With `as_json` it prints what `act` returned for each unit, or its error.
    """
    results = await asyncio.gather(*map(act, units), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if as_json:
        print_json(
            [
                {"unit": unit}
                | ({"error": said(result)} if isinstance(result, BaseException) else result)
                for unit, result in zip(units, results, strict=True)
            ]
        )
    for failure in failures[:-1]:
        click.echo(f"Error: {said(failure)}", err=True)
    if failures:
        raise failures[-1]


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a document; without indent, as one line."""
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))


def plain(text: str) -> str:
    """A worker's text, without what would move a terminal's cursor."""
    return "".join(char if char.isprintable() else " " for char in text)
