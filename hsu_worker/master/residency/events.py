"""What can happen, and what has to be done about it."""

from dataclasses import dataclass
from typing import TypeAlias

from hsu_worker.master.residency.state import Rules, Tenant


@dataclass(frozen=True, slots=True)
class Ask:
    """A worker wants to start."""

    tenant: Tenant
    there: bool = False
    """It runs already, and has what it takes."""
    since: float | None = None
    """When it asked first, if it was let in and came back."""
    alone: bool = False
    """Its start ran out of memory, and is tried once more: all others have to go first."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker takes calls."""

    tenant: Tenant


@dataclass(frozen=True, slots=True)
class Weighed:
    """A worker was seen to take so many bytes."""

    tenant: Tenant
    memory: int


@dataclass(frozen=True, slots=True)
class RanShort:
    """The start of a worker has failed because memory ran out."""

    tenant: Tenant
    again: bool = True
    """Its unit would try it once more."""


@dataclass(frozen=True, slots=True)
class Left:
    """Nothing is left of a worker, or it does not want to start any more."""

    tenant: Tenant
    peak: int = 0
    """The most memory that it ever had, in bytes; 0 is unknown."""


@dataclass(frozen=True, slots=True)
class Configured:
    """Other rules hold from now on."""

    rules: Rules


@dataclass(frozen=True, slots=True)
class Look:
    """Time has passed, or something has happened to a resident."""


Event: TypeAlias = Ask | Ready | Weighed | RanShort | Left | Configured | Look


@dataclass(frozen=True, slots=True)
class Admit:
    """It may start."""

    tenant: Tenant


@dataclass(frozen=True, slots=True)
class Refuse:
    """It can never start, as things are."""

    tenant: Tenant
    why: str


@dataclass(frozen=True, slots=True)
class Evict:
    """Ask its unit to let it go: at once if nobody uses it, or after the calls that it has."""

    tenant: Tenant
    why: str
    drain: bool = False
    """Also if it is used: its calls may end, and new ones wait for the next generation."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Its start is to be tried again, with the others gone."""

    tenant: Tenant
    why: str


@dataclass(frozen=True, slots=True)
class Tell:
    """What it waits for."""

    tenant: Tenant
    note: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Send `Look` at this time; earlier does no harm."""

    at: float


Effect: TypeAlias = Admit | Refuse | Evict | Retry | Tell | Wake
