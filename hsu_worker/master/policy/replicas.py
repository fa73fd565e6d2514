"""Which worker of a unit that has several takes the next call, and whether another one is to start.

Each place for a worker has an owner and a policy of its own, which alone decides about it. Here is only
looked at all of them, anew whenever something has happened to one.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hsu_worker.master.policy import places, refusals
from hsu_worker.master.policy.state import Phase, State

#: What a start takes, by where a place stands: one that is being left has to be empty first.
_EFFORT: Final = {Phase.WARM: 0, Phase.ABSENT: 1, Phase.BACKOFF: 1, Phase.FAULTED: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One place for a worker, as it stands."""

    serves: bool = False
    """Its worker takes calls, or is full."""
    leases: int = 0
    """The calls that it has, and those that it was promised."""
    room: int = 0
    """How many more it takes now."""
    coming: int = 0
    """How many it will take, as far as anybody knows, by what is under way already."""
    effort: int | None = None
    """What a start takes, the least first; None: it can't be started, or need not."""
    troubled: bool = False
    """Its last worker failed, and none has served since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What has to be done for those who wait. Replicas go by their place in the list."""

    grants: tuple[int, ...] = ()
    """Where the first of them go, in their order."""
    starts: tuple[int, ...] = ()
    """Which are to be started for the others."""
    lost: bool = False
    """The others wait for nothing: no worker serves or comes, and none may be started."""


def most(state: State) -> int:
    """How many calls a worker takes at the same time."""
    return state.rules.concurrency or sys.maxsize


def replacing(state: State) -> bool:
    """Another worker takes the place of the one of an owner, or is about to."""
    return bool(state.renew or state.candidate or state.retiring)


def seen(state: State, promised: int, now: float) -> Replica:
    """How the place of one owner stands.

    Args:
        state: What its policy knows.

        promised: The calls that are sent there, and have not come yet.

        now: In the loop's time.
    """
    current, trouble = state.current, bool(state.trouble.streak)
    if current is not None and current.phase is Phase.READY and not current.stop_asked:
        leases = current.leases + len(state.waiters) + promised
        room = max(0, most(state) - leases)
        if current.suspect:
            # It is asked whether it answers: soon it takes calls again, or is gone.
            return Replica(leases=leases, coming=room)
        return Replica(serves=True, leases=leases, room=room)
    if refusals.standing(state, now) is not None:
        return Replica(troubled=trouble)
    if state.wanted or places.comes(state):
        return Replica(coming=most(state), troubled=trouble)
    return Replica(effort=_EFFORT.get(state.phase, 2), troubled=trouble)


def least_loaded(replicas: Sequence[Replica]) -> int | None:
    """The one that the next call goes to: of those with room the one with the fewest, and the first of these."""
    free = [number for number, each in enumerate(replicas) if each.room > 0]
    return min(free, key=lambda number: replicas[number].leases, default=None)


def choose(replicas: Sequence[Replica], callers: Sequence[bool], most: int) -> Choice:
    """What has to be done for the callers that wait.

    Nothing is started while there is room, or enough is on its way. After a failure only the one that
    failed is tried again: so what is broken is not started once per replica.

    Args:
        replicas: All of them.

        callers: Of each that waits, the oldest first, whether a start may be made for it.

        most: How many calls a worker takes at the same time.
    """
    loads = list(replicas)
    grants: list[int] = []
    while len(grants) < len(callers) and (number := least_loaded(loads)) is not None:
        grants.append(number)
        chosen = loads[number]
        loads[number] = Replica(serves=True, leases=chosen.leases + 1, room=chosen.room - 1)
    left = callers[len(grants) :]
    short = sum(left) - sum(each.coming for each in replicas)
    troubled = any(each.troubled for each in replicas)
    able = [
        (each.effort, number)
        for number, each in enumerate(replicas)
        if each.effort is not None and each.troubled == troubled
    ]
    needed = max(0, -(-short // most))
    starts = tuple(number for _, number in sorted(able)[:needed])
    hope = starts or any(each.serves or each.leases or each.coming for each in replicas)
    return Choice(grants=tuple(grants), starts=starts, lost=bool(left) and not hope)
