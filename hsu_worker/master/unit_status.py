"""How a unit stands, as a master tells it."""

from dataclasses import dataclass, replace
from typing import Final

from hsu_worker.master.policy import Phase, State
from hsu_worker.master.replicas import Owner, Replicas
from hsu_worker.master.unit import Unit

#: Where a unit stands without a worker.
_WITHOUT: Final = (Phase.HELD, Phase.FAULTED, Phase.BACKOFF, Phase.ABSENT)

#: How far a worker is, the furthest first.
_FURTHEST: Final = (
    *(Phase.READY, Phase.STARTING, Phase.WARM, Phase.DRAINING, Phase.STOPPING),
    *_WITHOUT,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process uses; what it has started itself is not in it."""

    memory: int
    """Bytes, with its share of what several processes have."""
    cpu: float
    """Seconds on a processor since its launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """How one of the workers of a unit with replicas stands."""

    phase: Phase
    generation: int
    """Its own; without a worker, the last of the unit."""
    leases: int
    """Calls that run there."""
    detail: str
    pid: int | None


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
    """What its processes use; only where that was asked for."""
    replicas: tuple[ReplicaStatus, ...] = ()
    """Each place for a worker of a unit that may have several; all else tells of one that is furthest."""

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the processes that the master started for it."""
        pids = (each.pid for each in self.replicas) if self.replicas else (self.pid,)
        return tuple(pid for pid in pids if pid is not None)


def status_of(unit: Owner, now: float) -> UnitStatus:
    """How it stands now, in the running loop's time."""
    if not isinstance(unit, Replicas):
        return _of_one(unit, now)
    each = [_of_one(owner, now) for owner in unit.units]
    told = min(each, key=lambda status: _FURTHEST.index(status.phase))
    running = sum(status.phase not in _WITHOUT for status in each)
    workers = f"{running} of {len(each)} workers"
    return replace(
        told,
        leases=sum(status.leases for status in each),
        waiters=unit.waiters,
        detail=f"{workers}, {told.detail}" if told.detail else workers,
        replicas=tuple(
            ReplicaStatus(
                phase=status.phase,
                generation=status.generation,
                leases=status.leases,
                detail=status.detail,
                pid=status.pid,
            )
            for status in each
        ),
    )


def _of_one(unit: Unit, now: float) -> UnitStatus:
    state = unit.state
    retry_at = state.trouble.retry_at
    detail = unit.worker.detail if unit.worker is not None else ""
    if state.current is not None and state.current.stand_in:
        detail = f"stand-in, {detail}"
    return UnitStatus(
        unit=unit.config.name,
        phase=_told(state),
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


def _told(state: State) -> Phase:
    """Where a unit stands; one is warm once it has given back what its lifespans held."""
    current = state.current
    leaves = current is not None and current.phase is Phase.WARM and current.warm_since is None
    return Phase.STOPPING if leaves else state.phase
