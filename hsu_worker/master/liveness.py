"""Whether a worker that runs still answers. Busy is not dead, and neither is slow.

Only what a Ping through the work path shows counts. A miss is no answer in time, or the answer
`busy` while a call is long past its own end. A miss while the process used CPU is a worker that is
at work on something long; it is logged, and counts only when that has lasted.
"""

from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import Final

#: Misses in a row that are one too many.
MISSES: Final = 3

#: Seconds for which misses of a process that uses CPU don't count.
AT_WORK: Final = 30.0

#: Seconds by which a call may outlive its own deadline, or its caller.
OVERDUE: Final = 30.0

#: Seconds of CPU between two looks that are work; answering nothing costs less.
WORK: Final = 0.02

#: The part of its pause by which a look may come sooner, to come together with those at other workers:
#: of several at once each costs the master half of what one alone does.
SOONER: Final = 1 / 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one Ping showed."""

    at: float
    """When, in seconds of a monotonic clock."""
    answered: bool
    busy: bool = False
    overdue: float = 0.0
    """Seconds by which the worst call has outlived its deadline or its caller."""
    oldest: float = 0.0
    """Seconds that the oldest call without a deadline has run."""
    cpu: float | None = None
    """Seconds of CPU that the process has used in all; None: unknown."""


class Verdict(Enum):
    """What the looks so far amount to."""

    FINE = "fine"
    AT_WORK = "at work"
    MISSED = "missed"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """The looks so far.

    Args:
        max_call: Seconds that a call without a deadline may run.
    """

    max_call: float = inf
    misses: int = 0
    """Those that count, in a row."""
    missing_since: float | None = None
    """The first miss of the row, whether it counts or not."""
    cpu: float | None = None

    def look(self, look: Look) -> "tuple[Liveness, Verdict, str]":
        """One more look: what is known now, the verdict, and what shows it."""
        missed = self._missed(look)
        if not missed:
            return replace(self, misses=0, missing_since=None, cpu=look.cpu), Verdict.FINE, ""
        since = look.at if self.missing_since is None else self.missing_since
        at_work = (
            look.cpu is not None and self.cpu is not None and look.cpu - self.cpu >= WORK
        ) and look.at - since < AT_WORK
        misses = self.misses if at_work else self.misses + 1
        after = replace(self, misses=misses, missing_since=since, cpu=look.cpu)
        if misses >= MISSES:
            text = f"{missed}, {misses} times in a row, for {look.at - since:.1f} s"
            return after, Verdict.DEAD, text
        if at_work:
            return after, Verdict.AT_WORK, f"{missed}, but uses CPU"
        return after, Verdict.MISSED, missed

    def _missed(self, look: Look) -> str:
        if not look.answered:
            return "it does not answer a Ping"
        if look.busy and look.overdue > OVERDUE:
            return f"a call has outlived its deadline or its caller by {look.overdue:.0f} s"
        if look.busy and look.oldest > self.max_call:
            return f"a call has run for {look.oldest:.0f} s; `max_call` allows {self.max_call:g} s"
        return ""


def together(now: float, pause: float) -> float:
    """Seconds until the next look: the pause or a little less, so that others are due then as well."""
    return pause - (now + pause) % (pause * SOONER)
