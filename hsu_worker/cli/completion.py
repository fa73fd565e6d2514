"""`hsu-worker completion`."""

from typing import Final

import click

#: The line that turns it on, and the file that it belongs into.
_SETUP: Final = {
    "bash": ('eval "$(hsu-worker completion bash)"', "~/.bashrc"),
    "zsh": ('eval "$(hsu-worker completion zsh)"', "~/.zshrc, below compinit"),
    "fish": ("hsu-worker completion fish | source", "~/.config/fish/config.fish"),
}


@click.command()
@click.argument("shell", type=click.Choice(list(_SETUP)))
def command(shell: str) -> None:
    """Print what makes a shell complete commands, options and units.

    \b
      bash: eval "$(hsu-worker completion bash)"            in ~/.bashrc
      zsh:  eval "$(hsu-worker completion zsh)"             in ~/.zshrc, below compinit
      fish: hsu-worker completion fish | source             in ~/.config/fish/config.fish
    """  # noqa: D301  click wants the control character, not a backslash
    from click.shell_completion import get_completion_class

    from hsu_worker.cli import main

    completion = get_completion_class(shell)
    assert completion is not None
    # First: zsh looks for #compdef in the first line of a file of its fpath.
    click.echo(completion(main, {}, "hsu-worker", "_HSU_WORKER_COMPLETE").source())
    line, file = _SETUP[shell]
    click.echo(f"# To have it always, put into {file}:\n#   {line}")
