"""`hsu-worker health`. A container may run it every few seconds: it imports what it needs, late."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import click

from hsu_worker.cli import _values
from hsu_worker.cli._asking import print_json, prints_json
from hsu_worker.errors import AddressError, HsuError

if TYPE_CHECKING:
    from hsu_worker.wire.address import Address

#: Seconds in which a process that is well answers.
_TIMEOUT: Final = "1"
_SERVING: Final = "SERVING"


class _Exit(IntEnum):
    """The exit codes of grpc_health_probe, which probes of others expect."""

    SERVING = 0
    USAGE = 1
    NO_CONNECTION = 2
    RPC_FAILED = 3
    NOT_SERVING = 4


class _WrongUsage(click.UsageError):
    exit_code = _Exit.USAGE


class _WrongAddress(click.ClickException):
    exit_code = _Exit.USAGE


class _NoConnection(click.ClickException):
    exit_code = _Exit.NO_CONNECTION


class _RpcFailed(click.ClickException):
    exit_code = _Exit.RPC_FAILED


class _Probe(click.Command):
    """A command whose usage errors have the exit code of grpc_health_probe."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _usage_errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _usage_errors(ctx):
            return super().invoke(ctx)


@contextmanager
def _usage_errors(ctx: click.Context) -> Generator[None, None, None]:
    try:
        yield
    except click.UsageError as error:
        raise _WrongUsage(error.format_message(), ctx) from None


@click.command(cls=_Probe)
@click.argument("words", nargs=-1, metavar="[ADDRESS] [NAME]")
@click.option(
    "--timeout",
    default=_TIMEOUT,
    show_default=True,
    callback=_values.seconds,
    metavar="SECONDS",
    help="Wait this long for the answer, or with --watch for the first one.",
)
@click.option("--watch", is_flag=True, help="Tell every change, until Ctrl-C or the server's end.")
@click.option(
    "--master",
    "where",
    envvar="HSU_MASTER",
    metavar="WHERE",
    help="Without ADDRESS: the master's address or folder. [default: what HSU_MASTER says, or the "
    "only one that you run]",
)
@prints_json
def command(
    words: tuple[str, ...], timeout: float, watch: bool, where: str | None, as_json: bool
) -> None:
    r"""Ask whether a server, or one of its interfaces, answers calls.

    \b
      hsu-worker health tcp:127.0.0.1:7000
      hsu-worker health tcp:127.0.0.1:7000 hsu.a.v1.InterfaceA
      hsu-worker health live              # the running master: does its process answer at all?

    ADDRESS is that of any server with grpc.health.v1; without it the running master is asked. It
    needs no token.

    The exit code is that of grpc_health_probe: 0 it is SERVING, 1 a wrong command line, 2 there is
    no connection, 3 the call failed or took too long, 4 it is something else than SERVING. With
    --watch it is about the last answer.
    """
    given, names = _values.split_address(words)
    if len(names) > 1:
        raise click.UsageError(f"one NAME is enough; here are {', '.join(names)}")
    name = "".join(names)
    address = _address(given, where)
    code = _Exit.NO_CONNECTION
    try:
        for status in _answers(address, name, timeout, watch):
            code = _Exit.SERVING if status == _SERVING else _Exit.NOT_SERVING
            if as_json:
                facts = {"address": str(address), "name": name, "status": status}
                print_json(facts, indent=None)
            else:
                click.echo(f"{f'{name} at ' * bool(name)}{address} is {status}")
    except KeyboardInterrupt:
        # The way to end a watch.
        if not watch:
            raise
    click.get_current_context().exit(code)


def _answers(address: "Address", name: str, timeout: float, watch: bool) -> Iterator[str]:
    from hsu_worker.cli._probing import NoAnswer, health, health_changes

    try:
        if watch:
            yield from health_changes(address, name, timeout)
        else:
            yield health(address, name, timeout)
    except NoAnswer as problem:
        error = _RpcFailed if problem.connected else _NoConnection
        raise error(str(problem)) from None


def _address(given: str | None, where: str | None) -> "Address":
    from hsu_worker.wire.address import Address

    try:
        if given is not None:
            address = Address.parse(given)
            address.check_dialled()
            return address
        from hsu_worker.master.discovery import find_master

        return find_master(where).address
    except AddressError as error:
        raise _WrongAddress(str(error)) from None
    except HsuError as error:
        raise _NoConnection(str(error)) from None
