"""`hsu-worker new`."""

from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.option(
    "--interface",
    "interfaces",
    multiple=True,
    metavar="NAME",
    help="An interface that it serves, such as WordList; may be repeated. [default: one that is "
    "called as the project is]",
)
@click.option("--minimal", is_flag=True, help="Only what it takes to write, test and run it.")
@click.option(
    "--into",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where it is made: an empty folder, or a new one. [default: NAME]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the files that were made, as JSON.")
def command(
    name: str, interfaces: tuple[str, ...], minimal: bool, into: Path | None, as_json: bool
) -> None:
    """Make a new project: a worker that is tested as it is.

    \b
      hsu-worker new mysvc
      hsu-worker new my-svc --interface WordList --interface Spelling
      hsu-worker new mysvc --minimal --into .

    It holds a contract for each interface, a class that implements it, tests, and what it takes to
    run, check and ship them. Nothing is written if anything stands in the way.
    """  # noqa: D301  click wants the control character, not a backslash
    import shlex

    from hsu_worker.errors import BadName
    from hsu_worker.scaffold.project import new_project
    from hsu_worker.scaffold.versions import clone

    try:
        made = new_project(name, interfaces=interfaces, minimal=minimal, into=into)
    except BadName as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        from hsu_worker.cli._asking import print_json

        print_json(
            {
                "folder": str(made.folder),
                "interfaces": made.interfaces,
                "files": [str(path) for path in made.files],
            }
        )
        return
    click.echo(f"made {made.folder}, {len(made.files)} files, with {', '.join(made.interfaces)}")
    click.echo()
    if made.folder != Path():
        click.echo(f"  cd {shlex.quote(str(made.folder))}")
    if (source := clone()) is not None:
        # No index has it yet. A URL, for pip takes several, with spaces between them.
        wheels = source / "dist"
        made_there = ["pip", "wheel", "--no-deps", "--wheel-dir", str(wheels), str(source)]
        click.echo(f"  {shlex.join(made_there)}")
        click.echo(f"  export PIP_FIND_LINKS={shlex.quote(wheels.as_uri())}")
    if minimal:
        click.echo("  python3 -m venv .venv && .venv/bin/pip install --editable '.[dev]'")
        click.echo("  .venv/bin/python -m pytest")
        click.echo("  .venv/bin/hsu-worker master run hsu.toml")
    else:
        click.echo("  make install")
        click.echo("  make test")
        click.echo("  make master")
