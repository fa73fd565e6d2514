"""`hsu-worker proto-path`."""

import click


@click.command()
def command() -> None:
    r"""Print the folder of hsu_worker's own .proto files.

    Compilers of other languages take it as an import folder:

    \b
      protoc -I "$(hsu-worker proto-path)" -I proto --go_out=gen mysvc.proto
    """
    from hsu_worker.codegen.sources import shipped_folder

    click.echo(shipped_folder())
