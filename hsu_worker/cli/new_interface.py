"""`hsu-worker new-interface`."""

import click


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the files that were made, as JSON.")
def command(name: str, as_json: bool) -> None:
    r"""Add an interface to the project that you are in.

    \b
      hsu-worker new-interface WordList

    It makes a contract in proto/, the code that is generated from it, a class whose handlers are
    still to do, and a test that fails until they are done. Where that can be done safely, it adds
    the class to the app and the interface to hsu.toml; where not, it says which lines to write.
    """
    from hsu_worker.errors import BadName
    from hsu_worker.scaffold.interface import new_interface

    try:
        made = new_interface(name)
    except BadName as error:
        raise click.UsageError(str(error)) from None
    files = [made.proto, made.service, made.test, *made.generated]
    if as_json:
        from hsu_worker.cli._asking import print_json

        print_json(
            {
                "interface": made.full_name,
                "files": [str(path) for path in files],
                "changed": [str(path) for path in made.changed],
                "by_hand": made.by_hand,
            }
        )
        return
    click.echo(f"made {made.full_name}")
    for path in files:
        click.echo(f"  {path}")
    for path in made.changed:
        click.echo(f"  {path} (changed)")
    for text in made.by_hand:
        click.echo(text)
    click.echo()
    click.echo(f"Now write the contract into {made.proto}, and")
    click.echo(f"  hsu-worker gen {made.proto.parent}/*.proto --out {made.generated[0].parent}")
