"""The `hsu.toml` of the project: its mistakes, and whether its units could be started."""

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from hsu_worker.doctor.finding import Finding, ok, problem, warning
from hsu_worker.doctor.reach import unreachable
from hsu_worker.errors import ConfigError
from hsu_worker.master.config import Config
from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.address import Address

_FILE: Final = "hsu.toml"


def config(folder: Path) -> Iterator[Finding]:
    """The file, and each unit in it."""
    file = folder / _FILE
    if not file.exists():
        yield ok("hsu.toml", f"there is no {_FILE} here")
        return
    try:
        read = Config.from_file(file)
    except ConfigError as error:
        yield problem("hsu.toml", str(error), "correct the file")
        return
    wrong = [finding for unit in read.units.values() for finding in _unit(unit)]
    yield from wrong
    if not wrong:
        units = "1 unit" if len(read.units) == 1 else f"{len(read.units)} units"
        yield ok("hsu.toml", f"{_FILE} has {units}, and all that they need is there")


def _unit(unit: UnitConfig) -> Iterator[Finding]:
    if unit.app is not None:
        yield from _app(unit, unit.app)
    if unit.command is not None:
        yield from _command(unit, unit.command[0])
    if unit.address is not None and (trouble := unreachable(Address.parse(unit.address))):
        yield warning(
            "units",
            f"units.{unit.name}.address: nothing answers at {unit.address}: {trouble}",
            "start its worker; the master looks for it at each call",
        )


def _app(unit: UnitConfig, app: str) -> Iterator[Finding]:
    if unit.python != Path(sys.executable):
        return  # what another interpreter can import, it knows alone
    module = app.partition(":")[0].partition(".")[0]
    path = [str(unit.cwd), *unit.env.get("PYTHONPATH", "").split(os.pathsep), *sys.path]
    # Looked for, not imported: nobody's code runs here.
    if PathFinder.find_spec(module, [each for each in path if each]) is None:
        yield problem(
            "units",
            f"units.{unit.name}.app: there is no module {module!r} in {unit.cwd}, nor is it installed",
            "correct the name, or set cwd to the folder that holds it",
        )


def _command(unit: UnitConfig, program: str) -> Iterator[Finding]:
    path = unit.env.get("PATH", os.environ.get("PATH", os.defpath))
    if shutil.which(program, path=path) is None:
        yield problem(
            "units",
            f"units.{unit.name}.command: there is no program {program} that can be run",
            "correct the path, or build the program; chmod +x makes a file one",
        )
