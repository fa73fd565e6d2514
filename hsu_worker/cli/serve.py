"""`hsu-worker serve`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from hsu_worker.cli import _completing

if TYPE_CHECKING:
    from hsu_worker.wire.address import Address
    from hsu_worker.worker.options import KnownMaster, Membership

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("app", envvar="HSU_SERVE_APP")
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDRESS",
    help="Where: unix:<absolute path> or tcp:<host>:<port>; port 0 takes any free one; may be "
    "repeated. [default: tcp:127.0.0.1:0]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Listen on this port of 127.0.0.1; with --insecure-remote, of all hosts. [default: what "
    "PORT says in the environment, unless there is a --listen]",
)
@click.option(
    "--insecure-remote",
    is_flag=True,
    help="Listen where others in the network can read and make calls.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=_FILE,
    help="Let in only who presents the token in this file, which only you can open (mode 0600).",
)
@click.option(
    "--app-dir",
    metavar="FOLDER",
    type=_FOLDER,
    default=".",
    help="Search this folder for APP. [default: the present one]",
)
@click.option("--factory", is_flag=True, help="APP is a function that makes what to serve.")
@click.option("--reload", is_flag=True, help="Start anew when the code has changed.")
@click.option(
    "--reload-dir",
    multiple=True,
    metavar="FOLDER",
    type=_FOLDER,
    help="With --reload: watch this folder, and below; may be repeated. [default: that of --app-dir]",
)
@click.option(
    "--reload-include",
    multiple=True,
    metavar="PATTERN",
    help="With --reload: files with such a name count as well, not only *.py; may be repeated.",
)
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
    help="Log nothing below this.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Write the log, and where it listens, for people or as JSON, line by line.",
)
@click.option("--no-capture", is_flag=True, help="Keep stdout and stderr out of the log.")
@click.option(
    "--as",
    "stand_in_for",
    metavar="UNIT",
    shell_complete=_completing.units,
    help="Take the place of this unit of a running master, until you leave.",
)
@click.option(
    "--register",
    metavar="WHERE",
    help="Register with this master, which waits for --unit: its address or folder.",
)
@click.option("--unit", metavar="NAME", help="With --register: the unit to stand for.")
@click.option(
    "--master",
    envvar=["HSU_SERVE_MASTER", "HSU_MASTER"],
    metavar="WHERE",
    help="The master that --as means, and whose units the services call: its address or folder. "
    "[default: what HSU_MASTER says; for --as, else the only one that you run; for calls, else that "
    "of --as or --register]",
)
@click.option(
    "--master-token-file",
    metavar="FILE",
    type=_FILE,
    help="With --as, --register or --master: the file that holds the master's token. [default: the "
    "one in its folder, or beside its socket]",
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
    listen: tuple[str, ...],
    port: int | None,
    insecure_remote: bool,
    token_file: Path | None,
    app_dir: Path,
    factory: bool,
    reload: bool,
    reload_dir: tuple[Path, ...],
    reload_include: tuple[str, ...],
    log_level: str,
    log_format: Literal["text", "json"],
    no_capture: bool,
    stand_in_for: str | None,
    register: str | None,
    unit: str | None,
    master: str | None,
    master_token_file: Path | None,
    plugin_version: int | None,
) -> None:
    r"""Serve an app in this process.

    \b
      hsu-worker serve mysvc:app
      hsu-worker serve mysvc --listen unix:/run/user/1000/mysvc.sock
      hsu-worker serve mysvc:app --as summarizer --reload

    APP is <module>:<attribute>, where the attribute is an App, a function that makes one, or a
    class with @implements; <module> alone serves every such class that the module defines.

    Each option can also be set in the environment: --log-format as HSU_SERVE_LOG_FORMAT, and so on;
    several values are separated by spaces.

    Ctrl-C or SIGTERM: calls that run finish, up to 30 s; a second one ends the process at once.

    Launched by a master, or as a plugin by a host of HashiCorp's go-plugin, it does what they say.
    """
    from hsu_worker.wire.launch import LaunchVariables
    from hsu_worker.worker import check_platform

    check_platform()
    app_folder = str(app_dir.resolve())
    variables = LaunchVariables.take(os.environ)
    if variables is not None:
        from hsu_worker.worker.launched import run_launched
        from hsu_worker.worker.run import find_modules_in
        from hsu_worker.worker.shutdown import end_process

        find_modules_in(app_folder)
        end_process(run_launched(app, variables, factory=factory, log_level=log_level.upper()))
    _be_a_plugin_if_launched_as_one(app, app_folder, factory, plugin_version, log_level.upper())

    from hsu_worker.worker.options import Serving

    if not reload and (reload_dir or reload_include):
        raise click.UsageError("--reload-dir and --reload-include go with --reload")
    membership, known = _masters(stand_in_for, register, unit, master, master_token_file)
    options = Serving(
        app=app,
        app_dir=app_folder,
        factory=factory,
        listen=_addresses(listen, port, insecure_remote),
        token=_token(token_file),
        token_file=str(token_file or ""),
        membership=membership,
        master=known,
        capture=not no_capture,
        log_level=log_level.upper(),
        log_format=log_format,
    )
    if reload:
        from hsu_worker.worker.reloader import PYTHON_FILES, run_reloading
        from hsu_worker.worker.shutdown import end_process

        folders = reload_dir or (app_dir,)
        end_process(run_reloading(options, folders, (PYTHON_FILES, *reload_include)))

    from hsu_worker.worker.serve import run_serving
    from hsu_worker.worker.shutdown import end_process

    end_process(run_serving(options))


def _be_a_plugin_if_launched_as_one(
    app: str, app_folder: str, factory: bool, version: int | None, log_level: str
) -> None:
    """Live as the plugin of a host of go-plugin, if one has launched this process."""
    from hsu_worker.worker.plugin.variables import PluginVariables

    variables = PluginVariables.take(os.environ)
    if variables is None:
        if version is not None:
            raise click.UsageError(
                "--plugin-version is for plugins, and no host has launched this one"
            )
        return
    from hsu_worker.worker.plugin.run import run_plugin
    from hsu_worker.worker.run import find_modules_in
    from hsu_worker.worker.shutdown import end_process

    find_modules_in(app_folder)
    end_process(run_plugin(app, variables, factory=factory, version=version, log_level=log_level))


def _addresses(
    listen: tuple[str, ...], port: int | None, insecure_remote: bool
) -> "tuple[Address, ...]":
    """Where to listen, as far as somebody has said it."""
    from hsu_worker.wire.address import Address

    addresses = [Address.parse(text) for text in listen]
    if port is None and not addresses:
        port = _port(os.environ.get("PORT", ""))
    if port is not None:
        host = "0.0.0.0" if insecure_remote else "127.0.0.1"  # noqa: S104
        addresses.append(Address(host=host, port=port))
    for address in addresses:
        if not insecure_remote:
            address.check_local()
        if addresses.count(address) > 1 and (address.is_unix or address.port):
            raise click.UsageError(f"address {address} is given twice")
    return tuple(addresses)


def _port(text: str) -> int | None:
    """The port that a platform wants us to listen on, if it does."""
    if not text:
        return None
    from hsu_worker.wire.address import is_port

    if not is_port(text):
        raise click.UsageError(
            f"PORT={text!r} in the environment is not a port; correct it, or give --listen or --port"
        )
    return int(text)


def _masters(
    stand_in_for: str | None,
    register: str | None,
    unit: str | None,
    master: str | None,
    token_file: Path | None,
) -> "tuple[Membership | None, KnownMaster | None]":
    """What the worker stands for, and which master its services call."""
    from hsu_worker.worker.options import Membership

    if (register is None) != (unit is None):
        raise click.UsageError("--register and --unit go together")
    if stand_in_for is not None and register is not None:
        raise click.UsageError("--as and --register exclude each other")
    if token_file is not None and not (stand_in_for or register or master):
        raise click.UsageError("--master-token-file goes with --as, --register or --master")
    known = _found(master, token_file) if master or stand_in_for is not None else None
    if stand_in_for is not None:
        assert known is not None
        return Membership(master=known, unit=stand_in_for, stand_in=True), known
    if register is None or unit is None:
        return None, known
    return Membership(master=_found(register, token_file), unit=unit), known


def _found(where: str | None, token_file: Path | None) -> "KnownMaster":
    from hsu_worker.cli import NotStarted
    from hsu_worker.errors import ConfigError, NoMaster
    from hsu_worker.master.discovery import find_master
    from hsu_worker.worker.options import KnownMaster

    try:
        place = find_master(where, token_file=token_file)
    except (ConfigError, NoMaster) as error:
        raise NotStarted(str(error)) from error
    # From wherever the app may go.
    file = str(place.token_file.absolute()) if place.token_file is not None else ""
    return KnownMaster(address=place.address, token=place.token, token_file=file)


def _token(file: Path | None) -> str:
    from hsu_worker.wire.secret_file import read_token

    return "" if file is None else read_token(file)
