"""What has to be done for a unit."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from hsu_worker.errors import RpcError


@dataclass(frozen=True, slots=True)
class Start:
    """Make a worker."""

    generation: int
    spec: int
    """The number of its launch specification."""
    trigger: str
    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End the worker and all that belongs to it, then report `Gone`."""

    generation: int
    trigger: str
    why: str
    force: bool = False
    """Kill it: it can't be asked."""


@dataclass(frozen=True, slots=True)
class WarmStop:
    """Let the worker leave its lifespans and keep its process, then report `Warm` or `WarmFailed`."""

    generation: int


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Let the worker enter its lifespans again, then report `Started` or `WarmFailed`."""

    generation: int
    trigger: str
    why: str


@dataclass(frozen=True, slots=True)
class Grant:
    """These callers have their leases."""

    waiters: tuple[int, ...]
    generation: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """These callers get an error."""

    waiters: tuple[int, ...]
    error: RpcError


@dataclass(frozen=True, slots=True)
class Probe:
    """Find out whether the worker still answers: report `Alive`, `Leaving`, `Unresponsive`."""

    generation: int


@dataclass(frozen=True, slots=True)
class Wake:
    """Send `Tick` at this time; earlier does no harm."""

    at: float


@dataclass(frozen=True, slots=True)
class SwapEnded:
    """The swap that was asked for is over; None: the new worker serves, the old one is gone."""

    generation: int
    error: RpcError | None


@dataclass(frozen=True, slots=True)
class Tell:
    """Something happened that is neither a start nor a stop."""

    kind: Literal["backoff", "faulted", "held", "swapped", "warm", "swap failed"]
    generation: int
    trigger: str
    why: str


Effect: TypeAlias = (
    Start | Stop | WarmStop | WarmStart | Grant | Refuse | Probe | Wake | SwapEnded | Tell
)
