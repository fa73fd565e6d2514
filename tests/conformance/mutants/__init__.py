"""Broken workers: what each check has to catch, as changes of a line of whole_worker.py.

A file has those of the checks in the file of its name. `python -m tests.conformance.mutants log-resume` shows
what the kit says of one of them.
"""

from typing import Final

from tests.conformance.mutants import (
    admission,
    announcement,
    calling,
    environment,
    health,
    identity,
    leaks,
    leaving,
    lifeline,
    logs,
    pings,
    starting,
    stopping,
)
from tests.conformance.mutants.mutant import Mutant

FAMILIES: Final = (
    environment,
    announcement,
    admission,
    identity,
    starting,
    stopping,
    pings,
    health,
    calling,
    logs,
    leaving,
    lifeline,
    leaks,
)

MUTANTS: Final[tuple[Mutant, ...]] = tuple(each for family in FAMILIES for each in family.MUTANTS)
