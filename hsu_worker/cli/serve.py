"""`hsu-worker serve`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hsu_worker.wire.address import Address


@click.command()
@click.argument("app")
@click.option(
    "--listen",
    metavar="ADDRESS",
    default="tcp:127.0.0.1:0",
    show_default=True,
    help="Where: unix:<absolute path> or tcp:<host>:<port>; port 0 takes any free one.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Let in only who presents the token in this file, which only you can open (mode 0600).",
)
@click.option(
    "--insecure-remote",
    is_flag=True,
    help="Listen where others in the network can read and make calls.",
)
@click.option("--no-capture", is_flag=True, help="Keep stdout and stderr out of the log.")
@click.option("--register", metavar="ADDRESS", help="Register with the master that listens there.")
@click.option("--unit", metavar="NAME", help="With --register: the unit to stand for.")
@click.option(
    "--master",
    envvar="HSU_MASTER",
    metavar="WHERE",
    help="The master whose units the services call: its address or folder. [default: what "
    "HSU_MASTER says, else that of --register]",
)
@click.option(
    "--master-token-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --register or --master: the file that holds the master's token.",
)
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
    help="Log nothing below this.",
)
@click.option(
    "--plugin-version",
    metavar="N",
    type=click.IntRange(min=0),
    help="Launched by a host of go-plugin: which version of its protocol to speak. "
    "[default: its newest]",
)
def command(
    app: str,
    listen: str,
    token_file: Path | None,
    insecure_remote: bool,
    no_capture: bool,
    register: str | None,
    unit: str | None,
    master: str | None,
    master_token_file: Path | None,
    log_level: str,
    plugin_version: int | None,
) -> None:
    r"""Serve an app in this process.

    \b
      hsu-worker serve mysvc:app
      hsu-worker serve mysvc --listen unix:/run/user/1000/mysvc.sock

    APP is <module>:<attribute>, where the attribute is an App, a function that makes one, or a
    class with @implements; <module> alone serves every such class that the module defines. The
    folder from which you start is searched for it, too.

    Ctrl-C or SIGTERM: calls that run finish, up to 30 s; a second one ends the process at once.

    Launched by a master, or as a plugin by a host of HashiCorp's go-plugin, it does what they say.
    """
    import os
    import sys

    from hsu_worker.wire.address import Address
    from hsu_worker.wire.launch import LaunchVariables
    from hsu_worker.worker import check_platform

    check_platform()
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    variables = LaunchVariables.take(os.environ)

    from hsu_worker.worker.run import run_launched, run_serving
    from hsu_worker.worker.serve import Serving
    from hsu_worker.worker.shutdown import end_process

    if variables is not None:
        end_process(run_launched(app, variables))
    from hsu_worker.worker.plugin.variables import PluginVariables

    plugin = PluginVariables.take(os.environ)
    if plugin is not None:
        from hsu_worker.worker.plugin.run import run_plugin

        code = run_plugin(app, plugin, version=plugin_version, log_level=log_level.upper())
        end_process(code)
    if plugin_version is not None:
        raise click.UsageError("--plugin-version is for plugins, and no host has launched this one")
    if (register is None) != (unit is None):
        raise click.UsageError("--register and --unit go together")
    if register is None and master is None and master_token_file is not None:
        raise click.UsageError("--master-token-file goes with --register and --unit, or --master")
    options = Serving(
        listen=Address.parse(listen),
        token=_token(token_file),
        token_file=str(token_file or ""),
        register=Address.parse(register) if register else None,
        unit=unit or "",
        master_token=_token(master_token_file),
        master=_found(master, master_token_file) if master else None,
        capture=not no_capture,
        log_level=log_level.upper(),
    )
    end_process(run_serving(app, options, insecure_remote=insecure_remote))


def _found(master: str, token_file: Path | None) -> "tuple[Address, str]":
    from hsu_worker.cli import NotStarted
    from hsu_worker.errors import ConfigError, NoMaster
    from hsu_worker.master.discovery import find_master

    try:
        place = find_master(master, token_file=token_file)
    except (ConfigError, NoMaster) as error:
        raise NotStarted(str(error)) from error
    return place.address, place.token


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    from hsu_worker.master.secret_file import read_token

    token = read_token(file)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise click.UsageError(f"{file} holds no token: printable ASCII without spaces is needed")
    return token
