"""What all commands that ask a running master share: which one, and how its answers are shown."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from hsu_worker.cli import said

if TYPE_CHECKING:
    from hsu_worker.master.remote import RemoteMaster

CommandT = TypeVar("CommandT", bound=Callable[..., None])


#: What a JSON text may hold as it is, and what a terminal would take for more than text.
_UNPRINTABLE: Final = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def asks_a_master(command: CommandT) -> CommandT:
    """Add the options that say which master, and `--json`."""
    return names_a_master(prints_json(command))


def prints_json(command: CommandT) -> CommandT:
    """Add the option `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def names_a_master(command: CommandT) -> CommandT:
    """Add the options that say which master."""
    whose = "The file that holds the master's token. [default: "
    return _where(_token_file(whose)(command))


def names_a_server(command: CommandT) -> CommandT:
    """As `names_a_master`, for a command that takes the address of another server, too."""
    whose = "The file that holds the token of the server. [default: none; for a master "
    return _where(_token_file(whose)(command))


def _token_file(whose: str) -> Callable[[CommandT], CommandT]:
    return click.option(
        "--token-file",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=f"{whose}what HSU_MASTER_TOKEN_FILE names, or the one beside its socket]",
    )


def _where(command: CommandT) -> CommandT:
    return click.option(
        "--master",
        "where",
        envvar="HSU_MASTER",
        metavar="WHERE",
        help="The master's address or folder. [default: what HSU_MASTER says, or the only one "
        "that you run]",
    )(command)


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
    click.echo(json_text(value, indent=indent))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A document that can't move a terminal's cursor."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain(text: str) -> str:
    """A worker's text, without what would move a terminal's cursor."""
    return "".join(char if char.isprintable() else " " for char in text)
