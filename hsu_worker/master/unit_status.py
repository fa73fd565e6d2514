"""How a unit stands, as a master tells it."""

from dataclasses import dataclass

from hsu_worker.master.policy import Phase
from hsu_worker.master.unit import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process uses; what it has started itself is not in it."""

    memory: int
    """Bytes, with its share of what several processes have."""
    cpu: float
    """Seconds on a processor since its launch."""


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
    """What there is to say about its worker, such as how its process was made."""
    implements: tuple[str, ...]
    """The interfaces that it implements."""
    failure: str
    """Why it last failed; empty when it has served for a while since."""
    retry_in: float | None
    """Seconds until it may be tried again; None: at once."""
    pid: int | None
    """The process that the master started for it; None: there is none."""
    starts: int = 0
    """How often it was started, since the master was."""
    trigger: str = ""
    """What caused its last start; empty when there was none."""
    usage: Usage | None = None
    """What its process uses; only where that was asked for."""


def status_of(unit: Unit, now: float) -> UnitStatus:
    """How it stands now, in the running loop's time."""
    state = unit.state
    retry_at = state.trouble.retry_at
    detail = unit.worker.detail if unit.worker is not None else ""
    if state.current is not None and state.current.stand_in:
        detail = f"stand-in, {detail}"
    return UnitStatus(
        unit=unit.config.name,
        phase=state.phase,
        generation=state.last if state.current is None else state.current.number,
        leases=state.leases,
        waiters=len(state.waiters),
        detail=detail,
        implements=unit.config.implements,
        failure=state.trouble.reason,
        retry_in=None if retry_at is None else max(0.0, retry_at - now),
        pid=unit.worker.pid if unit.worker is not None else None,
        starts=unit.history.starts,
        trigger=unit.history.trigger,
    )
