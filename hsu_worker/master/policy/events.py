"""What can happen to a unit.

`draw` is a random number from 0 to 1, drawn by whoever sends the event: it becomes the jitter of a
backoff, and the policy stays a function of what it is given.
"""

from dataclasses import dataclass
from typing import TypeAlias

from hsu_worker.errors import RpcError
from hsu_worker.master.policy.trouble import Rules


@dataclass(frozen=True, slots=True)
class Arrive:
    """A caller wants a lease."""

    waiter: int
    what: str = "a call"
    """Who it is, for the record of why a unit was started."""
    start: bool = True
    """Whether it may cause a start, and wait."""
    cycle: str = ""
    """How a call came back to the unit, which may wait for it: it must not wait for room."""


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
    """The worker won't come; what is left of it is to be removed."""

    generation: int
    error: RpcError
    draw: float = 1.0
    again: str = ""
    """Why it is to be tried once more at once, as if it had not failed; those who wait wait on."""
    trigger: str = "start"
    """`adopt`: an earlier master has left it, and it could not be met."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker ended by itself."""

    generation: int
    how: str = "it ended"
    clean: bool = False
    """It left in order: with exit code 0, or by ending its registration."""
    draw: float = 1.0
    finishes: bool = False
    """It still answers the calls that it has."""


@dataclass(frozen=True, slots=True)
class Unresponsive:
    """The worker lives, and answers no more."""

    generation: int
    how: str = "it does not answer"
    draw: float = 1.0


@dataclass(frozen=True, slots=True)
class Suspect:
    """A call could not be delivered to the worker, or it has missed a Ping."""

    generation: int
    how: str = ""
    probe: bool = True
    """Somebody has to find out what it is; otherwise the next look at it will tell."""


@dataclass(frozen=True, slots=True)
class Alive:
    """A suspected worker has answered."""

    generation: int


@dataclass(frozen=True, slots=True)
class Outgrown:
    """The worker takes more memory than it should: another one shall take its place."""

    generation: int
    how: str


@dataclass(frozen=True, slots=True)
class Evict:
    """Another unit needs what the worker takes: let it go, unless somebody uses it."""

    generation: int
    why: str
    drain: bool = False
    """Also if somebody does: its calls may end, and new ones wait for the next generation."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The worker is on its way out by itself: it finishes its calls and takes no new ones."""

    generation: int


@dataclass(frozen=True, slots=True)
class Warm:
    """The worker has left its lifespans, and its process lives."""

    generation: int


@dataclass(frozen=True, slots=True)
class WarmFailed:
    """The worker has not left its lifespans, or not entered them again, within its time."""

    generation: int
    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing is left of the worker."""

    generation: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class StartWanted:
    """The unit shall run without a call: at once, whatever stood against it."""

    trigger: str = "asked"


@dataclass(frozen=True, slots=True)
class StartNeeded:
    """Something needs it, such as another unit: it shall run, unless something stands against it."""

    why: str
    trigger: str = "dependency"


@dataclass(frozen=True, slots=True)
class Numbered:
    """Generations up to this number are other replicas' of the unit."""

    last: int


@dataclass(frozen=True, slots=True)
class Needed:
    """So many workers of other units need it, from now on."""

    count: int


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants the unit stopped."""

    hold: bool = False
    """Refuse calls until it is started; without it the next call starts it again."""


@dataclass(frozen=True, slots=True)
class SwapAsked:
    """Another implementation shall take the worker's place."""

    spec: int
    """The number of its launch specification."""


@dataclass(frozen=True, slots=True)
class StandInAsked:
    """A worker that somebody else started shall serve in the unit's place, until it leaves."""

    spec: int
    """The number of its launch specification."""
    who: str = ""
    """Which one, for the record."""


@dataclass(frozen=True, slots=True)
class Returning:
    """A stand-in is about to leave, and comes back."""

    generation: int
    within: float
    """Seconds from its end on, for which calls wait for it."""


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """The unit's table has changed."""

    rules: Rules
    spec: int | None
    """The number of the launch specification from now on; None: it launches as before."""


@dataclass(frozen=True, slots=True)
class Close:
    """The unit ends, for good."""

    removed: bool = False
    """It is no longer in the file; otherwise the master leaves."""


Event: TypeAlias = (
    Arrive
    | Leave
    | Release
    | Started
    | StartFailed
    | Lost
    | Unresponsive
    | Suspect
    | Alive
    | Outgrown
    | Evict
    | Leaving
    | Warm
    | WarmFailed
    | Gone
    | Tick
    | StartWanted
    | StartNeeded
    | Numbered
    | Needed
    | StopAsked
    | SwapAsked
    | StandInAsked
    | Returning
    | Reconfigured
    | Close
)
