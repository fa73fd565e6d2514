"""`hsu-worker gen`: `.proto` files to typed Python."""

import json
from collections.abc import Mapping
from pathlib import Path

import click


@click.command(name="gen")
@click.argument(
    "protos",
    nargs=-1,
    required=True,
    metavar="PROTO...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--out",
    required=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="The package to write, such as src/mysvc/gen.",
)
@click.option(
    "-I",
    "--proto-path",
    "proto_path",
    multiple=True,
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where imports are looked for. [default: the folder of the files]",
)
@click.option(
    "--protoc",
    default="",
    metavar="COMMAND",
    help="The compiler. [default: that of grpcio-tools in this environment]",
)
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is not current.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print each file and how it was found, as JSON."
)
def command(
    protos: tuple[Path, ...],
    out: Path,
    proto_path: tuple[Path, ...],
    protoc: str,
    check: bool,
    as_json: bool,
) -> None:
    """Generate typed Python from .proto files.

    \b
        hsu-worker gen proto/*.proto --out src/mysvc/gen

    For proto/a.proto, which defines InterfaceA, it writes the module src/mysvc/gen/a.py with the
    interface, its handlers, its clients and all messages, and beside it protoc's own a_pb2.py and
    a_pb2.pyi. Files that these import from the same folders are generated with them. hsu_core.proto
    and google's common files can be imported without a copy.

    Commit the result; never edit it.
    """  # noqa: D301  click wants the control character, not a backslash
    from hsu_worker.codegen.generate import generate
    from hsu_worker.codegen.output import State

    output = generate(protos, out=out, proto_path=proto_path, protoc=protoc)
    for warning in output.warnings:
        click.echo(warning, err=True)
    states = output.states()
    if check:
        if as_json:
            _print_json(states)
        output.check()
        return
    output.write()
    if as_json:
        _print_json(states)
        return
    changed = [path for path, state in states.items() if state is not State.CURRENT]
    for path in changed:
        click.echo(f"wrote {path}")
    click.echo(f"{len(changed)} written, {len(states) - len(changed)} unchanged")
    if output.declaration.file is not None:
        click.echo(f"{output.declaration.problem}; {output.declaration.change}")
    elif output.declaration.problem:
        click.echo(output.declaration.problem)


def _print_json(states: Mapping[Path, str]) -> None:
    click.echo(json.dumps({str(path): state for path, state in states.items()}, indent=2))
