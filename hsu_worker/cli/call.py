"""`hsu-worker call`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hsu_worker.cli import _completing, _values
from hsu_worker.cli._asking import names_a_server

if TYPE_CHECKING:
    from hsu_worker.wire.metadata import Metadata


@click.command()
@click.argument("words", nargs=-1, metavar="[ADDRESS] INTERFACE/METHOD [JSON]...")
@click.option(
    "--unit",
    metavar="NAME",
    shell_complete=_completing.units,
    help="The unit of the master to call. [default: its route]",
)
@click.option(
    "-m",
    "--metadata",
    callback=_values.metadata,
    multiple=True,
    metavar="NAME=VALUE",
    help="Send this along; base64 for names in -bin; may be repeated.",
)
@click.option(
    "--timeout", callback=_values.seconds, metavar="SECONDS", help="Give up after this long."
)
@click.option("--time", "timed", is_flag=True, help="Tell on stderr how long it took.")
@click.option("-v", "--verbose", is_flag=True, help="Show metadata and trailers on stderr.")
@click.option("--defaults", is_flag=True, help="Show fields that hold their default, too.")
@click.option(
    "--proto",
    "protos",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the messages here, for a server without reflection; may be repeated.",
)
@click.option(
    "-I",
    "--proto-path",
    "proto_path",
    multiple=True,
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --proto: where its imports are looked for. [default: its folder]",
)
@names_a_server
def command(
    words: tuple[str, ...],
    unit: str | None,
    metadata: "Metadata",
    timeout: float | None,
    timed: bool,
    verbose: bool,
    defaults: bool,
    protos: tuple[Path, ...],
    proto_path: tuple[Path, ...],
    where: str | None,
    token_file: Path | None,
) -> None:
    r"""Call a method; requests and answers are JSON.

    \b
      hsu-worker call hsu.a.v1.InterfaceA/Summarize '{"text": "..."}'
      hsu-worker call --unit index hsu.b.v1.InterfaceB/Ingest < documents.jsonl
      hsu-worker call tcp:127.0.0.1:7000 hsu.b.v1.InterfaceB/GetStats

    It goes to the server at ADDRESS; without one to the running master, which starts the unit.

    Without JSON, requests are read from stdin, unless that is a terminal; `-` reads them there,
    too. A method that takes a stream gets one from each line, or of each JSON; a method that takes
    one request gets the whole. Answers of a stream are printed as they come, one on a line.

    The exit code is 1 when the call failed, and 2 when the method, or a field, does not exist.
    """
    import asyncio

    from hsu_worker.cli._calling import Call
    from hsu_worker.cli._methods import split_method

    address, rest = _values.split_address(words)
    if not rest:
        raise click.UsageError("INTERFACE/METHOD is missing")
    if address and unit:
        raise click.UsageError("--unit is for a master, which --master names; ADDRESS is a server")
    if proto_path and not protos:
        raise click.UsageError("-I goes with --proto")
    interface, method = split_method(rest[0])
    call = Call(
        interface=interface,
        method=method,
        documents=rest[1:],
        unit=unit or "",
        metadata=metadata,
        timeout=timeout,
        timed=timed,
        verbose=verbose,
        defaults=defaults,
        protos=protos,
        proto_path=proto_path,
    )
    asyncio.run(call.make(address, where, token_file))
