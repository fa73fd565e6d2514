"""The chain of units that a call came through, and calls that would wait for themselves.

A worker that calls another unit, while it handles a call, sends the chain that it got and its own
unit. Where a call finds no room in a unit that is in its chain already, the room may be taken by the
call that waits for it: nobody could ever go on.
"""

from typing import Final

from hsu_worker.errors import Dispatch, FailedPrecondition

#: Metadata: the names of the units, in their order, with commas between them.
CALL_CHAIN: Final = "hsu-call-chain"
#: The reason in the details of a call that would wait for itself.
REASON: Final = "CALL_CYCLE"


def extended(chain: str, unit: str) -> str:
    """The chain that the calls of a unit carry; a worker that is no unit adds nothing."""
    return ",".join(filter(None, (chain, unit)))


def cycle(chain: str, unit: str) -> str:
    """How a call came back to a unit, as people write it: `a → b → a`; "" when it did not."""
    units = chain.split(",")
    if not unit or unit not in units:
        return ""
    return " → ".join((*units[units.index(unit) :], unit))


def waits_for_itself(unit: str, way: str, cure: str) -> FailedPrecondition:
    """The answer to a call that would wait for the room that it takes itself."""
    # It brings grpc along, which whoever only passes a chain on needn't have.
    from hsu_worker.wire.status import error_info

    return FailedPrecondition(
        f"unit {unit!r} has no room for a call that it may be waiting for itself: {way}; {cure}",
        details=[error_info(REASON, unit=unit, chain=way)],
        dispatched=Dispatch.NO,
    )
