"""Who has to go, so that somebody else has room."""

from itertools import chain

from hsu_worker.master.residency.room import Claim, Room
from hsu_worker.master.residency.state import Pool


def choose(claim: Claim, room: Room) -> list[tuple[Claim, Pool]] | None:
    """Those whom the claim puts out, and where; they are no longer in the room then.

    None, and nothing is changed: what it needs is promised to those who came before.
    """
    chosen: dict[int, tuple[Claim, Pool]] = {}
    unit = claim.tenant.unit
    for pool in room.lacks(claim):
        share = room.share(pool)
        # Replicas never put each other out: that would go on for ever.
        others = (each for each in share.ranked() if each.tenant.unit != unit and not each.pinned)
        # A swap puts the old one out only if nothing else helps.
        own = (each for each in share.ranked() if each.tenant == claim.replaces)
        for each in chain(others, own):
            if pool not in room.lacks(claim):
                break
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
