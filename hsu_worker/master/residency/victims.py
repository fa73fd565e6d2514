"""Who has to go, so that somebody else has room."""

from hsu_worker.master.residency.room import Claim, Room
from hsu_worker.master.residency.state import Pool


def choose(claim: Claim, room: Room, now: float) -> list[tuple[Claim, Pool]] | None:
    """Those whom the claim puts out, and where; they are no longer in the room then.

    None, and nothing is changed: what it needs is promised to those who came before.
    """
    chosen: dict[int, tuple[Claim, Pool]] = {}
    for pool in room.lacks(claim):
        rest = sorted(room.others(pool).values(), key=lambda each: _preference(each, claim, now))
        for each in rest:
            if pool not in room.lacks(claim):
                break
            own = each.tenant.unit == claim.tenant.unit
            if each.use is not None and (own or not each.pinned):
                room.remove(each)
                chosen[len(chosen)] = each, pool
        if pool in room.lacks(claim):
            for each, _ in chosen.values():
                room.add(each)
            return None
    # A large one that had to go may have made room enough without those before it.
    for number, (each, _) in tuple(chosen.items()):
        room.add(each)
        if room.lacks(claim):
            room.remove(each)
        else:
            del chosen[number]
    return list(chosen.values())


def _preference(each: Claim, claim: Claim, now: float) -> tuple[bool, bool, bool, float]:
    # A swap puts its own unit out only if nothing else helps.
    return (each.tenant.unit == claim.tenant.unit, *order(each, now))


def order(each: Claim, now: float) -> tuple[bool, bool, float]:
    """Who goes first: who is idle, and of those who was not used for the longest time."""
    starting = each.ready is None
    last = now if each.use is None else each.use.last
    return starting, not each.idle, last
