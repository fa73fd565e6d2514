"""One check of the kit: what it proves, and why anybody cares."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from hsu_worker.conformance.lab import Lab
    from hsu_worker.conformance.worker import Worker

#: The page that says what a worker has to do.
PAGE: Final = "docs/launch-contract.md"

Run: TypeAlias = "Callable[[Lab], Awaitable[None]]"
Look: TypeAlias = "Callable[[Lab, Worker], Awaitable[None]]"


class Level(StrEnum):
    """How much it matters, the most first."""

    MUST = "must"
    SHOULD = "should"
    MAY = "may"

    def counts_at(self, bar: "Level") -> bool:
        """A failure at this level is one for whoever sets the bar there."""
        order = list(Level)
        return order.index(self) <= order.index(bar)


class Lane(StrEnum):
    """Which worker a check needs."""

    OWN = "own"
    """One or more of its own, which it may end."""
    STOPPED = "stopped"
    """One that is STOPPED, and that others use after it."""
    RUNNING = "running"
    """One that is RUNNING, and that others use after it."""
    UNLAUNCHED = "unlaunched"
    """One that nobody has launched, and that serves others."""
    WAITING = "waiting"
    """Some of its own, for which it mostly waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check. Its `run` raises NotMet or Skipped, or all is well."""

    id: str
    level: Level
    proves: tuple[str, ...]
    """The numbers of the requirements in `PAGE`."""
    claim: str
    """What holds of a worker that passes."""
    why: str
    """What it is good for."""
    run: Run
    group: str
    lane: Lane = Lane.OWN
    harmless: bool = False
    """It can be made with a worker that serves others."""

    @property
    def where(self) -> str:
        """Where to read more."""
        return f"{PAGE}, {', '.join(self.proves)}"


def check(
    level: Level, proves: str, claim: str, why: str, *, waits: bool = False
) -> Callable[[Run], Check]:
    """Make a check of a function, and name it after that; the function starts its own workers.

        @check(Level.MUST, "L1", "SIGTERM ends it with exit code 0.", "A master ends workers so.")
        async def sigterm(lab: Lab) -> None: ...

    Args:
        level: How much it matters.

        proves: The requirements, separated by spaces.

        claim: What holds of a worker that passes; one sentence.

        why: What it is good for; one sentence.

        waits: It mostly waits, and may be made beside others.
    """
    lane = Lane.WAITING if waits else Lane.OWN
    return lambda run: _made(run, run, level, proves, claim, why, lane=lane)


def check_on(
    lane: Lane, level: Level, proves: str, claim: str, why: str, *, harmless: bool = False
) -> "Callable[[Look], Check]":
    """As `check`, of a function that gets a worker which others use as well.

    Args:
        lane: Which worker. One that is launched, the check may start and stop.

        level: See `check`.

        proves: See `check`.

        claim: See `check`.

        why: See `check`.

        harmless: It can be made with a worker that serves others.
    """

    def make(look: Look) -> Check:
        async def run(lab: "Lab") -> None:
            async with lab.shared(lane) as worker:
                await look(lab, worker)

        return _made(look, run, level, proves, claim, why, lane=lane, harmless=harmless)

    return make


def _made(
    written: Callable[..., object],
    run: Run,
    level: Level,
    proves: str,
    claim: str,
    why: str,
    *,
    lane: Lane,
    harmless: bool = False,
) -> Check:
    return Check(
        id=written.__name__.replace("_", "-"),
        level=level,
        proves=tuple(proves.split()),
        claim=claim,
        why=why,
        run=run,
        group=written.__module__.rpartition(".")[2],
        lane=lane,
        harmless=harmless,
    )
