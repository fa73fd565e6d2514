"""`hsu-worker describe`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hsu_worker.cli import _values
from hsu_worker.cli._asking import names_a_server, print_json, prints_json

if TYPE_CHECKING:
    from hsu_worker.cli._describing import Found


@click.command()
@click.argument("words", nargs=-1, metavar="[ADDRESS | MODULE:APP | FILE.proto] [NAME]")
@click.option(
    "-I",
    "--proto-path",
    "proto_path",
    multiple=True,
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With FILE.proto: where its imports are looked for. [default: its folder]",
)
@click.option(
    "--protoc",
    default="",
    metavar="COMMAND",
    help="With FILE.proto: the compiler. [default: that of grpcio-tools in this environment]",
)
@names_a_server
@prints_json
def command(
    words: tuple[str, ...],
    proto_path: tuple[Path, ...],
    protoc: str,
    where: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    r"""Show interfaces, methods and messages, as a .proto has them.

    \b
      hsu-worker describe                               what the running master offers
      hsu-worker describe hsu.a.v1.InterfaceA           an interface and its messages
      hsu-worker describe hsu.a.v1.InterfaceA/Summarize a method, and how to call it
      hsu-worker describe tcp:127.0.0.1:7000            what a server offers
      hsu-worker describe mysvc:app                     what an app offers
      hsu-worker describe proto/mysvc.proto             what a file defines

    NAME is that of an interface, a method, a message or an enum. A master starts the unit that has
    to be asked for it. Comments are known of a file, and of the methods of an app.
    """
    import asyncio

    address, rest = _values.split_address(words)
    source, names = ("", rest) if address else _split_source(rest)
    if len(names) > 1:
        raise click.UsageError(f"one NAME is enough; here are {', '.join(names)}")
    name = "".join(names)
    if source.endswith(".proto"):
        from hsu_worker.cli._describing import in_file

        found = in_file(Path(source), proto_path, protoc, name)
    elif proto_path or protoc:
        raise click.UsageError("-I and --protoc go with FILE.proto")
    elif source:
        from hsu_worker.cli._describing import in_app

        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        found = in_app(source, name)
    else:
        found = asyncio.run(_ask(address, where, token_file, name))
    _show(found, address, as_json)


def _split_source(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The app or the file that a command line begins with, if it does; and the rest."""
    first, *rest = words or ("",)
    if rest or first.endswith(".proto") or ":" in first:
        return first, tuple(rest)
    return "", words


async def _ask(
    address: str | None, where: str | None, token_file: Path | None, name: str
) -> "Found":
    from hsu_worker.cli._describing import at_server
    from hsu_worker.cli._server import reached
    from hsu_worker.cli._starts import starts_shown

    async with reached(address, where, token_file) as server, starts_shown(server):
        return await at_server(server, name)


def _show(found: "Found", address: str | None, as_json: bool) -> None:
    from hsu_worker.cli._describing import example
    from hsu_worker.cli._proto_json import proto_json
    from hsu_worker.cli._proto_text import proto_text

    if as_json:
        listed = [{"name": name} for name in found.names]
        document = proto_json(found.shown, found.protos)
        print_json(document | {"interfaces": [*listed, *document["interfaces"]]})
        return
    for name in found.names:
        click.echo(name)
    if text := proto_text(found.shown, found.protos):
        click.echo(text)
    if command_line := example(found, address):
        click.echo(f"\n{command_line}")
