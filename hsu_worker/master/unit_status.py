"""How a unit stands, as a master tells it."""

from dataclasses import dataclass

from hsu_worker.master.policy import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """How a unit stands."""

    unit: str
    phase: Phase
    generation: int
    """That of the worker that calls go to; else the last."""
    leases: int
    """Calls that run."""
    waiters: int
    """Calls that wait for it to start."""
    detail: str
    """What there is to say about its worker, such as its pid."""
    implements: tuple[str, ...]
    """The interfaces that it implements."""
    failure: str
    """Why it last failed; empty when it has served for a while since."""
    retry_in: float | None
    """Seconds until it may be tried again; None: at once."""
