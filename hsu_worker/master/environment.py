"""The environment that a unit's process starts with."""

from collections.abc import Mapping

from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.secret_file import read_env_file

_ALWAYS = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
_TELEMETRY = "OTEL_"


def child_environment(unit: UnitConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """What of the master's environment a unit gets, and what its table adds.

    The master's secrets stay with the master: a variable is passed if it is one of a few that
    nearly every program needs, or if the unit names it. The launch variables come on top.

    Raises:
        ConfigError: The `env_file` can't be read any more.
    """
    passed = {*_ALWAYS, *unit.pass_env}
    child = {
        name: value
        for name, value in environ.items()
        if name in passed or name.startswith(_TELEMETRY)
    }
    if unit.app is not None:
        # What it prints shall be in its log when it is printed, not when a buffer is full.
        child["PYTHONUNBUFFERED"] = "1"
    if unit.env_file is not None:
        child |= read_env_file(unit.env_file)
    return child | dict(unit.env)
