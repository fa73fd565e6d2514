"""What a unit does next: pure functions from (state, event, now) to (state, effects).

Nothing here waits, spawns or signals, so that a simulator can run the same code under a clock of
its own. Times are seconds of a monotonic clock. Events that name a generation other than the
present one are stale and change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from hsu_worker.errors import Dispatch, ResourceExhausted, RpcError, Unavailable


class Phase(StrEnum):
    """Where a unit's present generation stands."""

    ABSENT = "absent"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that is decided upon."""

    unit: str
    queue: int
    """Callers that may wait at the same time."""
    idle: float | None
    """Seconds without a lease after which the unit stops; None: never."""
    drain: float
    """Seconds that leases are given when the unit is told to stop."""
    phase: Phase = Phase.ABSENT
    generation: int = 0
    leases: int = 0
    waiters: tuple[int, ...] = ()
    quiet_since: float = 0.0
    """When the last lease ended, or the unit became ready."""
    drain_until: float = 0.0
    stop_asked: bool = False
    """Somebody asked for a stop during the start: it follows the calls that wait for it."""
    closed: bool = False
    """The master is leaving; nothing starts any more."""


@dataclass(frozen=True, slots=True)
class Arrive:
    """A caller wants a lease."""

    waiter: int


@dataclass(frozen=True, slots=True)
class Leave:
    """A waiting caller has gone; the start goes on for the others."""

    waiter: int


@dataclass(frozen=True, slots=True)
class Release:
    """A lease has ended."""

    generation: int


@dataclass(frozen=True, slots=True)
class Started:
    """The worker is RUNNING and is the one that was asked for."""

    generation: int


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The worker won't come; what is left of it is being removed."""

    generation: int
    error: RpcError


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker ended by itself."""

    generation: int


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing is left of the worker."""

    generation: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants the unit stopped; the next call starts it again."""


@dataclass(frozen=True, slots=True)
class Close:
    """The master leaves."""


Event: TypeAlias = (
    Arrive | Leave | Release | Started | StartFailed | Lost | Gone | Tick | StopAsked | Close
)


@dataclass(frozen=True, slots=True)
class Start:
    """Make a worker."""

    generation: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End the worker and all that belongs to it, then report `Gone`."""

    generation: int


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
class Wake:
    """Send `Tick` at this time."""

    at: float


Effect: TypeAlias = Start | Stop | Grant | Refuse | Wake
Decision: TypeAlias = tuple[State, Sequence[Effect]]


def decide(state: State, event: Event, now: float) -> Decision:
    """The next state, and what has to be done for it."""
    match event:
        case Arrive(waiter):
            return _arrive(state, waiter)
        case Leave(waiter):
            return replace(state, waiters=tuple(w for w in state.waiters if w != waiter)), ()
        case Release(generation):
            return _release(state, generation, now)
        case Tick():
            return _tick(state, now)
        case StopAsked():
            return _drain(state, now)
        case Close():
            closed, effects = _drain(replace(state, closed=True, waiters=()), now)
            return closed, (Refuse(state.waiters, _leaving(state)), *effects)
        case (
            Started(generation) | StartFailed(generation) | Lost(generation) | Gone(generation)
        ) if generation != state.generation:
            return state, ()
        case Started():
            return _started(state, now)
        case StartFailed(_, error):
            if state.phase is not Phase.STARTING:
                return state, ()
            failed = replace(state, phase=Phase.STOPPING, waiters=())
            return failed, (Refuse(state.waiters, error), Stop(state.generation))
        case Lost():
            if state.phase not in (Phase.READY, Phase.DRAINING):
                return state, ()
            # Leases of a dead worker end with its calls; their releases come too late to count.
            return replace(state, phase=Phase.STOPPING, leases=0), (Stop(state.generation),)
        case Gone():
            if state.phase is not Phase.STOPPING:
                return state, ()
            absent = replace(state, phase=Phase.ABSENT, leases=0)
            return _start(absent) if state.waiters else (absent, ())


def _arrive(state: State, waiter: int) -> Decision:
    if state.closed:
        return state, (Refuse((waiter,), _leaving(state)),)
    if state.phase is Phase.READY:
        return replace(state, leases=state.leases + 1), (Grant((waiter,), state.generation),)
    if len(state.waiters) >= state.queue:
        full = ResourceExhausted(
            f"unit {state.unit!r}: {state.queue} callers wait for it already; "
            "try again later, or raise its `queue`",
            dispatched=Dispatch.NO,
        )
        return state, (Refuse((waiter,), full),)
    waiting = replace(state, waiters=(*state.waiters, waiter))
    return _start(waiting) if state.phase is Phase.ABSENT else (waiting, ())


def _start(state: State) -> Decision:
    generation = state.generation + 1
    return replace(state, phase=Phase.STARTING, generation=generation, stop_asked=False), (
        Start(generation),
    )


def _started(state: State, now: float) -> Decision:
    if state.phase is not Phase.STARTING:
        return state, ()
    ready = replace(
        state, phase=Phase.READY, leases=len(state.waiters), waiters=(), quiet_since=now
    )
    granted = (Grant(state.waiters, state.generation),) if state.waiters else ()
    if state.stop_asked:
        stopping, effects = _drain(ready, now)
    else:
        stopping, effects = ready, _wake(ready)
    return stopping, (*granted, *effects)


def _release(state: State, generation: int, now: float) -> Decision:
    if generation != state.generation or state.phase not in (Phase.READY, Phase.DRAINING):
        return state, ()
    released = replace(state, leases=state.leases - 1, quiet_since=now)
    if released.leases:
        return released, ()
    if released.phase is Phase.DRAINING:
        return _stop(released)
    return released, _wake(released)


def _tick(state: State, now: float) -> Decision:
    if state.phase is Phase.DRAINING:
        # A timer may fire a little early; nothing else would end the drain.
        return _stop(state) if now >= state.drain_until else (state, (Wake(state.drain_until),))
    if state.phase is Phase.READY and not state.leases and state.idle is not None:
        if now >= state.quiet_since + state.idle:
            return _stop(state)
        return state, _wake(state)
    return state, ()


def _drain(state: State, now: float) -> Decision:
    if state.phase is Phase.STARTING:
        if state.waiters:
            return replace(state, stop_asked=True), ()
        return _stop(state)
    if state.phase is not Phase.READY:
        return state, ()
    if not state.leases:
        return _stop(state)
    until = now + state.drain
    return replace(state, phase=Phase.DRAINING, drain_until=until), (Wake(until),)


def _stop(state: State) -> Decision:
    return replace(state, phase=Phase.STOPPING, leases=0), (Stop(state.generation),)


def _wake(state: State) -> Sequence[Effect]:
    if state.idle is None or state.leases:
        return ()
    return (Wake(state.quiet_since + state.idle),)


def _leaving(state: State) -> RpcError:
    return Unavailable(f"unit {state.unit!r}: the master is leaving", dispatched=Dispatch.NO)
