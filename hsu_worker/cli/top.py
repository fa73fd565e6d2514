"""`hsu-worker top`."""

import asyncio
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hsu_worker.cli._asking import ask, asks_a_master, print_json
from hsu_worker.cli._tables import table

if TYPE_CHECKING:
    from hsu_worker.master.remote import RemoteMaster
    from hsu_worker.master.unit_status import UnitStatus

_HEAD: Final = (
    *("UNIT", "PHASE", "GENERATION", "PID", "CPU%", "MEMORY"),
    *("CALLS", "WAITING", "STARTS", "LAST START"),
)
_NUMBERS: Final = range(2, 9)

#: To the upper left corner; to the end of the line; to the end of the screen.
_HOME, _LINE, _SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="The time between two looks.",
)
@click.option(
    "-n",
    "--count",
    "most",
    type=click.IntRange(min=1),
    metavar="N",
    help="Show it N times. [default: once, on a terminal until Ctrl-C]",
)
@asks_a_master
def command(
    interval: float, most: int | None, where: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Show what the units of a running master use, and what they do.

    CPU% is the share of one processor since the last look, MEMORY that of the unit's processes, with their
    share of what several have. LAST START is what caused it. With --json, each look is
    one line.
    """
    live = sys.stdout.isatty() and not as_json
    looks = range(most) if most is not None else count() if live else range(1)

    async def show(master: "RemoteMaster") -> None:
        before = Look(await master.status(usage=True))
        if live:
            _draw(before.lines(None))
        for _ in looks:
            await asyncio.sleep(interval)
            now = Look(await master.status(usage=True))
            if as_json:
                print_json(now.json(before), indent=None)
            elif live:
                _draw(now.lines(before))
            else:
                click.echo("\n".join(now.lines(before)))
            before = now

    try:
        ask(where, token_file, show)
    except KeyboardInterrupt:
        # The way to end it.
        if not live:
            raise
        click.echo()


class Look:
    """What the master told at one time."""

    def __init__(self, units: "Mapping[str, UnitStatus]") -> None:
        self._at = time.monotonic()
        self._units = units

    def lines(self, before: "Look | None") -> list[str]:
        """A table, what runs first."""
        units = sorted(self._units.values(), key=lambda unit: unit.pid is None)
        return list(table([_HEAD, *(self._row(unit, before) for unit in units)], _NUMBERS))

    def json(self, before: "Look") -> list[dict[str, Any]]:
        """As `list` has it, with the share of a processor."""
        return [
            asdict(unit) | {"cpu_percent": self._percent(unit, before)}
            for unit in self._units.values()
        ]

    def _row(self, unit: "UnitStatus", before: "Look | None") -> tuple[str, ...]:
        percent = self._percent(unit, before)
        return (
            unit.unit,
            unit.phase,
            f"{unit.generation}",
            "" if unit.pid is None else f"{unit.pid}",
            "" if percent is None else f"{percent:.1f}",
            "" if unit.usage is None else f"{unit.usage.memory / 2**20:.1f} MiB",
            f"{unit.leases}",
            f"{unit.waiters}",
            f"{unit.starts}",
            unit.trigger,
        )

    def _percent(self, unit: "UnitStatus", before: "Look | None") -> float | None:
        """Of one processor, since the look before; None for a process that was not there."""
        old = None if before is None else before._units.get(unit.unit)
        if before is None or old is None or old.usage is None or unit.usage is None:
            return None
        if old.pids != unit.pids or self._at <= before._at:
            return None
        return round(100 * (unit.usage.cpu - old.usage.cpu) / (self._at - before._at), 1)


def _draw(lines: list[str]) -> None:
    """Put a table in the place of the one before it; what has no room is left out."""
    click.echo(_HOME + "\n".join(_fitting(lines)) + _SCREEN, nl=False, color=True)


def _fitting(lines: list[str]) -> Iterator[str]:
    size = shutil.get_terminal_size()
    shown, left = lines, 0
    if len(lines) > size.lines:
        shown, left = lines[: size.lines - 1], len(lines) - size.lines + 1
    for line in shown:
        yield line[: size.columns] + _LINE
    if left:
        yield f"and {left} more"[: size.columns] + _LINE
