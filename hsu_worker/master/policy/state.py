"""All that is decided upon."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from hsu_worker.errors import RpcError
from hsu_worker.master.policy.trouble import Rules, Trouble

T = TypeVar("T", "Generation", "State")


class Phase(StrEnum):
    """Where a unit, or one generation of it, stands."""

    ABSENT = "absent"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    WARM = "warm"
    # Of a unit only: why it has no generation.
    BACKOFF = "backoff"
    FAULTED = "faulted"
    HELD = "held"


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One worker, from the decision to make it until nothing is left of it."""

    number: int
    spec: int = 0
    stand_in: bool = False
    """Somebody else's worker, in the unit's place until it leaves. It is never stopped for being
    idle, and its end is no failure of the unit."""
    returns: float = 0.0
    """Of a stand-in: seconds within which it comes back after its end; 0: it doesn't."""
    phase: Phase = Phase.STARTING
    leases: int = 0
    since: float = 0.0
    """When it became ready."""
    quiet_since: float = 0.0
    """When its last lease ended, or it became ready."""
    outgrown: float = 0.0
    """When another one was last to take its place because of its size."""
    warm_since: float | None = None
    """When it had left its lifespans; None: it has not, or not yet."""
    resumes: bool = False
    """It starts in a process that was warm."""
    suspect: bool = False
    """A call could not be delivered; nobody is sent there before it has answered again."""
    stop_asked: bool = False
    """Somebody asked for a stop during the start: it follows the calls that wait for it."""
    drain_until: float = 0.0
    trigger: str = ""
    """What its drain, or its warm stop, was caused by."""
    why: str = ""

    @property
    def serves(self) -> bool:
        """It has a connection that can be lent."""
        return self.phase is Phase.READY or self.phase is Phase.DRAINING


@dataclass(frozen=True, kw_only=True)
class State:
    """A unit: three places for workers, those who wait, and what went wrong."""

    rules: Rules
    last: int = 0
    """The number of the last generation."""
    spec: int = 0
    """The launch specification of the generations to come."""
    current: Generation | None = None
    """The one that calls go to, or wait for."""
    candidate: Generation | None = None
    """The one that is being started to take the place of `current`."""
    swap_error: RpcError | None = None
    """Why `candidate` won't take the place; told when nothing is left of it."""
    retiring: Generation | None = None
    """The one whose place was taken; it ends when its leases have."""
    waiters: tuple[int, ...] = ()
    cause: tuple[str, str] = ("", "")
    """Trigger and evidence for the next start."""
    wanted: bool = False
    """It shall run without a call."""
    needed: int = 0
    """Workers of other units that need it."""
    renew: str = ""
    """Why another worker is to take the place of the current one, as soon as no swap is under way."""
    kept_until: float | None = None
    """Nothing is started before this: the place is kept for a stand-in that comes back."""
    trouble: Trouble = Trouble()  # noqa: RUF009  immutable
    held: bool = False
    """Somebody stopped it for good; calls are refused."""
    closed: bool = False
    """Nothing starts any more: the master is leaving, or the unit was removed."""
    removed: bool = False
    """It is no longer in the file."""

    @property
    def phase(self) -> Phase:
        """Where the unit stands, in one word."""
        if self.current is not None:
            return self.current.phase
        if self.held:
            return Phase.HELD
        if self.trouble.open:
            return Phase.FAULTED
        return Phase.ABSENT if self.trouble.retry_at is None else Phase.BACKOFF

    @property
    def generations(self) -> tuple[Generation, ...]:
        """All that live, the serving one first."""
        places = (self.current, self.retiring, self.candidate)
        return tuple([each for each in places if each is not None])

    @property
    def leases(self) -> int:
        """Calls that run, on whichever generation."""
        return sum(each.leases for each in self.generations)

    def find(self, number: int) -> Generation | None:
        """The generation of this number, unless nothing is left of it."""
        # Most calls are the current one's, and each comes here.
        if self.current is not None and self.current.number == number:
            return self.current
        return next((each for each in self.generations if each.number == number), None)

    def serves(self, number: int) -> bool:
        """The generation of this number has a connection that can be lent."""
        generation = self.find(number)
        return generation is not None and generation.serves


def evolve(old: T, **changes: object) -> T:
    """The same state or generation with some fields changed; an eighth of `dataclasses.replace`."""
    new = object.__new__(type(old))
    object.__setattr__(new, "__dict__", {**old.__dict__, **changes})
    return new
