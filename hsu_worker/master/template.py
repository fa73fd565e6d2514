"""What a unit's worker can be forked from: a process that has imported what it needs."""

from collections.abc import Mapping
from typing import Final

from hsu_worker.master.keeper.processes import LINUX
from hsu_worker.master.tables import UnitConfig

#: Variables that mean something while Python, grpc and the C library are loaded; what has others can
#: share a template.
_EARLY: Final = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
_EARLY_PREFIXES: Final = ("GRPC_", "LC_", "LD_", "MALLOC_", "PYTHON")

#: Seconds in which one has to have imported what every worker needs.
_BOUND: Final = 10.0

#: In the command line of a template, for that of what it becomes.
_ROOM: Final = " " * 100


def template_of(unit: UnitConfig, environment: Mapping[str, str]) -> Mapping[str, object] | None:
    """The template of a unit, as a keeper starts it; None when the unit is not forked.

    Args:
        unit: With `preimport` it has a template of its own, which has imported its app.

        environment: What its worker gets, without the variables of its launch.
    """
    if unit.app is None or unit.launcher != "fork" or not LINUX:
        return None
    argv = [str(unit.python), "-m", "hsu_worker.worker.template"]
    if unit.preimport:
        return {
            "argv": [*argv, unit.app, _ROOM],
            "env": dict(environment),
            "cwd": str(unit.cwd),
            "bound": unit.stall,
        }
    shared = {
        name: value
        for name, value in environment.items()
        if name in _EARLY or name.startswith(_EARLY_PREFIXES)
    }
    return {"argv": [*argv, "", _ROOM], "env": shared, "cwd": "/", "bound": _BOUND}
