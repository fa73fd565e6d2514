"""What a unit's process may take of the machine, as a keeper is told."""

import resource
from collections.abc import Mapping

from hsu_worker.master.tables import UnitConfig


def process_limits(unit: UnitConfig) -> Mapping[str, object] | None:
    """What its process does to itself before anything else; None: nothing."""
    if not (unit.open_files or unit.address_space or unit.nice or unit.cpus):
        return None
    rlimits = (
        (resource.RLIMIT_NOFILE, unit.open_files),
        (resource.RLIMIT_AS, unit.address_space),
    )
    return {
        "rlimits": [[number, most] for number, most in rlimits if most is not None],
        "nice": unit.nice or 0,
        "cpus": unit.cpus or (),
    }
