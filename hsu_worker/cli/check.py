"""`hsu-worker check`."""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hsu_worker.cli import ExitCode, NotStarted
from hsu_worker.cli._asking import CommandT, plain, print_json
from hsu_worker.cli._progress import ProgressLine
from hsu_worker.errors import ConfigError

if TYPE_CHECKING:
    from hsu_worker.conformance import Check, Report, Result
    from hsu_worker.conformance.target import Target

_LEVELS = ("must", "should", "may")


def _variable(_: click.Context, parameter: click.Parameter, given: Any) -> dict[str, str]:
    """`NAME=VALUE`, once or several times."""
    variables = {}
    for text in (given,) if isinstance(given, str) else given or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text!r}: expected NAME=VALUE", param=parameter)
        variables[name] = value
    return variables


def _situation(name: str, text: str) -> Callable[[CommandT], CommandT]:
    """An option that names the variable with which the worker does something."""
    return click.option(name, metavar="NAME=VALUE", callback=_variable, help=text)


@click.command()
@click.argument("program", nargs=-1, metavar="[-- COMMAND ARGS...]", type=click.UNPROCESSED)
@click.option("--unit", metavar="NAME", help="Check a unit of an hsu.toml instead of a command.")
@click.option(
    "--config",
    metavar="FILE",
    default="hsu.toml",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --unit: the file.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Ask a worker that runs already, unix:<absolute path> or tcp:<host>:<port>, and change "
    "nothing.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --address: the file that holds its token (mode 0600).",
)
@click.option(
    "--env",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_variable,
    help="With a command: a variable of its environment; may be repeated.",
)
@click.option(
    "--implements",
    metavar="INTERFACE",
    multiple=True,
    help="With a command: an interface that it has to offer; may be repeated.",
)
@click.option("--only", metavar="ID", multiple=True, help="Make this check; may be repeated.")
@click.option("--skip", metavar="ID", multiple=True, help="Leave this check out; may be repeated.")
@click.option(
    "--level",
    type=click.Choice(_LEVELS),
    default="must",
    show_default=True,
    help="Fail at this level, too.",
)
@click.option(
    "--no-skips",
    is_flag=True,
    help="Fail also when a check of that level, or of a higher one, was skipped.",
)
@click.option(
    "--slow-method",
    metavar="METHOD",
    default="",
    help="A method whose calls take 2 s to 20 s, such as hsu.a.v1.InterfaceA/Summarize.",
)
@click.option(
    "--slow-request",
    metavar="JSON",
    default="{}",
    show_default=True,
    help="The request with which they do, or @FILE.",
)
@_situation("--slow-start", "With this variable its start takes 2 s to 20 s.")
@_situation("--failing-start", "With this variable its start fails.")
@_situation("--stuck-release", "With this variable it never releases what its start acquired.")
@_situation("--flood", "With this variable it writes 50 MiB to its output, once it runs.")
@click.option(
    "--patience",
    metavar="FACTOR",
    type=click.FloatRange(min=0.01, max=100),
    default=1.0,
    show_default=True,
    help="Multiply all times that the worker is given.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Make so many checks at the same time. [default: two for each processor, four at least]",
)
@click.option(
    "--junit",
    "junit_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write a JUnit XML report, too.",
)
@click.option("--list", "listed", is_flag=True, help="Show the checks, and make none.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    program: tuple[str, ...],
    unit: str | None,
    config: Path,
    address: str | None,
    token_file: Path | None,
    env: dict[str, str],
    implements: tuple[str, ...],
    only: tuple[str, ...],
    skip: tuple[str, ...],
    level: str,
    no_skips: bool,
    slow_method: str,
    slow_request: str,
    slow_start: dict[str, str],
    failing_start: dict[str, str],
    stuck_release: dict[str, str],
    flood: dict[str, str],
    patience: float,
    jobs: int | None,
    junit_file: Path | None,
    listed: bool,
    as_json: bool,
) -> None:
    r"""Check a worker, in any language, against the launch contract.

    \b
      hsu-worker check -- ./bin/worker --fast
      hsu-worker check --unit summarizer --config hsu.toml
      hsu-worker check --address tcp:127.0.0.1:7000

    It launches the worker some fifty times, calls it, and stops it in every way. Each of its
    methods is called with an empty message: let it work on data that doesn't matter. With
    --address it only asks.

    The exit code is 0 when no check at level must has failed, 1 when one has, 2 when all were
    skipped, and 3 when the worker could not be launched.
    """
    from hsu_worker.conformance import Help, Level, junit
    from hsu_worker.conformance.catalog import chosen

    if listed:
        with _usage_errors():
            _list(chosen(only, skip), as_json=as_json)
        return
    if junit_file is not None and not junit_file.absolute().parent.is_dir():
        raise click.UsageError(f"--junit {junit_file}: there is no such folder")
    target = _target(program, unit, config, address, token_file, env, implements)
    help = Help(  # noqa: A001
        slow_method=slow_method,
        slow_request=_request(slow_request),
        slow_start=slow_start,
        failing_start=failing_start,
        stuck_release=stuck_release,
        flood=flood,
    )
    with _usage_errors():
        options = {"only": only, "skip": skip, "help": help, "patience": patience}
        report = asyncio.run(_made(target, jobs=jobs or 0, **options))
    bar = Level(level)
    if junit_file is not None:
        try:
            junit_file.write_text(junit(report, bar), "utf-8")
        except OSError as error:
            raise click.FileError(str(junit_file), error.strerror) from None
    if as_json:
        print_json(report.document())
    else:
        click.echo("\n".join(map(plain, str(report).split("\n"))))
    if not report.made:
        raise click.UsageError(
            "nothing was checked: name other checks, or give the options that they take"
        )
    unproven = report.unproven(bar) if no_skips else []
    if unproven:
        click.echo(f"not proven: {', '.join(each.check.id for each in unproven)}", err=True)
    if unproven or not report.passes(bar):
        click.get_current_context().exit(ExitCode.FAILED)


async def _made(target: "Target", **options: Any) -> "Report":
    """Make the checks, and show on a terminal how far they are."""
    from hsu_worker.conformance import check

    async with ProgressLine() as line:

        def show(result: "Result", done: int, of: int) -> None:
            line.report("check", done / of, f"{result.check.id} {result.outcome}")

        return await check(target, on_result=show, **options)


def _target(
    program: Sequence[str],
    unit: str | None,
    config: Path,
    address: str | None,
    token_file: Path | None,
    env: Mapping[str, str],
    implements: Sequence[str],
) -> "Target":
    """What the command line names."""
    from hsu_worker.conformance import Running, command
    from hsu_worker.wire.address import Address
    from hsu_worker.wire.secret_file import read_token

    if sum(map(bool, (program, unit, address))) != 1:
        raise click.UsageError(
            "say what to check, in one way: -- COMMAND ARGS..., --unit NAME, or --address ADDRESS"
        )
    if token_file is not None and not address:
        raise click.UsageError("--token-file goes with --address")
    if (env or implements) and not program:
        raise click.UsageError("--env and --implements go with a command")
    if address:
        token = "" if token_file is None else read_token(token_file)
        return Running(address=Address.parse(address), token=token)
    return _unit(unit, config) if unit else command(program, env=env, implements=implements)


def _unit(name: str, file: Path) -> "Target":
    """A unit of an `hsu.toml`."""
    from hsu_worker.conformance import Running
    from hsu_worker.master import Config
    from hsu_worker.master.nearest import no_unit
    from hsu_worker.wire.address import Address
    from hsu_worker.wire.secret_file import read_token

    try:
        units = Config.from_file(file).units
    except ConfigError as error:
        raise NotStarted(str(error)) from None
    if name not in units:
        raise click.UsageError(f"{file}: {no_unit(name, units)}")
    unit = units[name]
    if unit.register:
        raise click.UsageError(
            f"{file}: unit {name!r} is launched by nobody; name the worker with --address"
        )
    if unit.address is None:
        return unit
    token = "" if unit.token_file is None else read_token(unit.token_file)
    return Running(address=Address.parse(unit.address), token=token)


def _request(text: str) -> str:
    """JSON, or what the file holds that is named."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--slow-request {text}: {error}") from None


@contextmanager
def _usage_errors() -> Generator[None, None, None]:
    """What is wrong with the names on the command line is a wrong command line."""
    try:
        yield
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def _list(checks: "Sequence[Check]", *, as_json: bool) -> None:
    from hsu_worker.conformance.report import described

    if as_json:
        print_json([described(each) for each in checks])
        return
    width = max((len(each.id) for each in checks), default=0)
    for each in checks:
        click.echo(f"{each.level:6}  {each.id:{width}}  {each.claim}")
