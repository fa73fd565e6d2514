"""The processes and the calls of a simulated world."""

from dataclasses import dataclass, field

from tests.master.sim.stories import Planned


@dataclass(slots=True, eq=False)
class Worker:
    """A process."""

    number: int
    running: "dict[Call, None]" = field(default_factory=dict)
    stopping: bool = False
    ended: bool = False
    """It has crashed or exited; the master may not know yet."""
    leaving: bool = False
    closed: bool = False
    """Nobody can connect to it any more, and it lives."""
    stuck: bool = False
    stand_in: bool = False
    step: int = 0
    """Counts its warm stops and warm starts."""


@dataclass(slots=True, eq=False)
class Call:
    """One call, from its arrival to its end."""

    number: int
    plan: Planned
    came: float
    waiter: int = 0
    worker: Worker | None = None
    outcome: str = ""
