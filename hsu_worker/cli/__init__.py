"""The command `hsu-worker`: one file per command, loaded when it is asked for.

A file `hsu_worker/cli/gen.py` holds the command `gen` as the click command `command`. It parses,
calls one function and prints. What that function needs is imported inside the command, so that
`hsu-worker --help` stays quick and imports no grpc.

Every option can also be set in the environment: `hsu-worker gen --protoc ...` reads
HSU_GEN_PROTOC, and `hsu-worker list --json` HSU_LIST_JSON. The command's name keeps these apart from
a launched worker's own variables.
"""

import importlib
import pkgutil
from difflib import get_close_matches
from enum import IntEnum

import click

from hsu_worker.errors import (
    AddressError,
    AppError,
    ConfigError,
    HsuError,
    InterfaceMismatch,
    LaunchError,
    LoadError,
    MalformedAddress,
    RpcError,
    StartError,
    UnknownUnit,
)


class ExitCode(IntEnum):
    """What a command's exit code says."""

    OK = 0
    FAILED = 1
    #: click's own code for a wrong command line.
    USAGE = 2
    #: Nothing has been served.
    NOT_STARTED = 3


#: Names and addresses that were written wrong.
_WRITTEN_WRONG = (MalformedAddress, UnknownUnit)

#: Errors after which nothing has been served.
_NOTHING_SERVED = (
    AddressError,
    AppError,
    InterfaceMismatch,
    LaunchError,
    LoadError,
    StartError,
)

#: The commands that serve. Others take a configuration that is wrong for a failure.
_SERVING = ("master", "serve")


class Failed(click.ClickException):
    """Shown by click as its message on stderr, without a traceback."""

    exit_code = ExitCode.FAILED


class WrongInput(click.ClickException):
    """As `Failed`, for what was written wrong, but not in the options, so that usage is no help."""

    exit_code = ExitCode.USAGE


class NotStarted(click.ClickException):
    """As `Failed`, for what has served nothing."""

    exit_code = ExitCode.NOT_STARTED


class _Commands(click.Group):
    """The commands of this folder."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = (module.name for module in pkgutil.iter_modules(__path__))
        return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        _finish(command, f"HSU_{cmd_name}")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HsuError as error:
            serves = ctx.invoked_subcommand in _SERVING
            causes = (*_NOTHING_SERVED, ConfigError) if serves else _NOTHING_SERVED
            shown: type[click.ClickException] = Failed
            if isinstance(error, _WRITTEN_WRONG):
                shown = WrongInput
            elif isinstance(error, causes):
                shown = NotStarted
            raise shown(said(error)) from error


def _finish(command: click.Command, prefix: str) -> None:
    """Do for a command what would have to be written in each.

    Its help may be a raw string. The variable of an option is called as people know the option;
    click would take the name that it has in Python.
    """
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            _finish(inner, f"{prefix}_{name}")
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None and option.allow_from_autoenv:
            flag = max(option.opts, key=len).removeprefix("--")
            option.envvar = f"{prefix}_{flag}".upper().replace("-", "_")


def said(error: BaseException) -> str:
    """What an error says to a person, who needs no status code beside it."""
    from hsu_worker.cli._asking import plain

    text = (isinstance(error, RpcError) and error.message) or str(error)
    return "\n".join(map(plain, text.split("\n")))


@click.command(
    cls=_Commands,
    name="hsu-worker",
    context_settings={"auto_envvar_prefix": "HSU", "help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="hsu-worker", allow_from_autoenv=False)
def main() -> None:
    """Workers that start when they are called."""
