"""`hsu-worker doctor`."""

from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from hsu_worker.cli import ExitCode
from hsu_worker.cli._asking import plain, print_json, prints_json

_COLORS: Final = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@prints_json
def command(as_json: bool) -> None:
    """Find what is wrong with this installation and this project, and how to mend it.

    It looks at the interpreter and its packages, at the pyproject.toml, the generated code and the
    hsu.toml in this folder, at the masters that run, and at the variables and limits of this shell.
    It changes nothing, but for the leavings of killed masters, which every command removes.

    The exit code is 1 when something won't work; warnings leave it 0.
    """
    from hsu_worker.cli._reference import variables
    from hsu_worker.doctor.examine import examine
    from hsu_worker.doctor.finding import Verdict

    found = list(examine(Path(), variables()))
    counts = {verdict: sum(each.verdict is verdict for each in found) for verdict in Verdict}
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        width = max(len(each.id) for each in found)
        for each in found:
            verdict = click.style(f"{each.verdict:<7}", fg=_COLORS[each.verdict])
            first, *rest = each.cause.splitlines()
            click.echo(f"{verdict}  {each.id:<{width}}  {plain(first)}")
            if each.cure:
                rest.append(f"-> {each.cure}")
            for line in rest:
                click.echo(f"{'':{7 + 2 + width + 2}}{plain(line)}")
        click.echo(_counted(counts[Verdict.PROBLEM], counts[Verdict.WARNING]))
    click.get_current_context().exit(ExitCode.FAILED if counts[Verdict.PROBLEM] else ExitCode.OK)


def _counted(problems: int, warnings: int) -> str:
    if not problems and not warnings:
        return "all is well"
    words = ((problems, "problem"), (warnings, "warning"))
    return ", ".join(f"{count} {word}{'s' * (count != 1)}" for count, word in words if count)
