"""Who has to go, so that somebody else has room."""

from collections.abc import Collection, Iterator

from hsu_worker.master.residency.room import Claim, Room, Share
from hsu_worker.master.residency.state import Pool


def choose(claim: Claim, room: Room, kept: Collection[str]) -> list[tuple[Claim, Pool]] | None:
    """Those whom the claim puts out, and where; they are no longer in the room then.

    None, and nothing is changed: what it needs is promised to those who came before, or nobody whose room would
    do may be sent away.

    Args:
        claim: Of one that waits.

        room: Who is there.

        kept: Units that others depend on who start or wait, this one too: what these need of them stays.
    """
    chosen: dict[int, tuple[Claim, Pool]] = {}
    for pool in room.lacks(claim):
        for each in _in_turn(claim, room.share(pool), kept):
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


def _in_turn(claim: Claim, share: Share, kept: Collection[str]) -> Iterator[Claim]:
    """Who may go for it."""

    def others(*, partners: bool) -> Iterator[Claim]:
        for each in share.ranked():
            partner = not each.idle and each.tenant.unit in claim.partners
            if partner is partners and may_go(each):
                yield each

    def may_go(other: Claim) -> bool:
        unit = other.tenant.unit
        if other.pinned or unit == claim.tenant.unit:
            return False
        return unit not in kept or _is_further(other, share)

    yield from others(partners=False)
    # Whoever calls them may wait for the very one that is to be let in.
    yield from others(partners=True)
    # A swap puts the old one out only if nothing else helps.
    yield from (each for each in share.ranked() if each.tenant == claim.replaces)


def _is_further(claim: Claim, share: Share) -> bool:
    """Others need a replica of it, and not this one."""
    if claim.use is None or claim.use.needed:
        return False
    replicas = (each for each in share.claims.values() if each.tenant.unit == claim.tenant.unit)
    return any(each.use is not None and each.use.needed and each.use.ready for each in replicas)
