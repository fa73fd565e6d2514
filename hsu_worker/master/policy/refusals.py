"""What callers are told who get no lease. None of these calls has reached a worker."""

from math import inf

from google.protobuf.message import Message

from hsu_worker.errors import (
    DeadlineExceeded,
    Dispatch,
    FailedPrecondition,
    ResourceExhausted,
    RpcError,
    Unavailable,
)
from hsu_worker.master.policy.state import State
from hsu_worker.master.policy.trouble import Rules, Trouble
from hsu_worker.wire.chain import waits_for_itself
from hsu_worker.wire.status import error_info, retry_info

#: What a full queue tells its callers to wait, in seconds.
_QUEUE_PAUSE = 1.0


def standing(state: State, now: float) -> RpcError | None:
    """What every caller is told as the unit stands; None: a call could be served."""
    if state.closed:
        return closed(state)
    if state.held:
        return held(state)
    if state.current is None and state.trouble.open and state.trouble.blocks(now):
        return faulted(state, now)
    return None


def may_differ(before: State, after: State) -> bool:
    """Whether `standing` may have changed with an event; an event of a call costs next to nothing."""
    return (
        after.trouble is not before.trouble
        or after.held != before.held
        or after.closed != before.closed
        or (after.current is None) != (before.current is None)
    )


def closed(state: State) -> Unavailable:
    if state.removed:
        return _unavailable(state, "REMOVED", ": it is no longer in hsu.toml")
    return _unavailable(state, "MASTER_LEAVING", ": the master is leaving")


def stopped(state: State) -> Unavailable:
    return _unavailable(state, "STOPPED", " was stopped while the call waited for it")


def held(state: State) -> Unavailable:
    cure = f"`hsu-worker start {state.rules.unit}`"
    return _unavailable(state, "HELD", f" is held: somebody stopped it; {cure}")


def not_running(state: State) -> Unavailable:
    text = f" is {state.phase}, and the call asked not to wait for a start"
    return _unavailable(state, "NOT_RUNNING", text)


def late(state: State, note: str, *, own: bool) -> RpcError:
    """The time to wait is over: the caller's own, or the most that anybody waits."""
    reason = state.trouble.reason
    last = (f": {note}" if note else "") + (f"; it failed before: {reason}" if reason else "")
    unit = state.rules.unit
    return (DeadlineExceeded if own else Unavailable)(
        f"unit {unit!r}: the time ran out while waiting for it ({state.phase}){last}",
        details=[error_info("NOT_READY", unit=unit)],
        dispatched=Dispatch.NO,
    )


def full(state: State) -> ResourceExhausted:
    return ResourceExhausted(
        f"unit {state.rules.unit!r}: {state.rules.queue} callers wait for it already; "
        "try again later, or raise its `queue`",
        details=[error_info("QUEUE_FULL", unit=state.rules.unit), retry_info(_QUEUE_PAUSE)],
        dispatched=Dispatch.NO,
    )


def cycle(state: State, way: str) -> FailedPrecondition:
    return waits_for_itself(
        state.rules.unit, way, "raise its `concurrency`, or call without waiting for the answer"
    )


def faulted(state: State, now: float) -> Unavailable:
    trouble = state.trouble
    assert trouble.retry_at is not None
    message = f": {breaker(state.rules, trouble, now)}; "
    if trouble.retry_at == inf:
        cure = f"start it with `hsu-worker start {state.rules.unit}`"
        message += f"{cure}; it failed with: {trouble.reason}"
        return _unavailable(state, "FAULTED", message)
    left = trouble.retry_at - now
    message += f"the next try is in {left:.1f} s; the last: {trouble.reason}"
    return _unavailable(state, "FAULTED", message, retry_info(left))


def breaker(rules: Rules, trouble: Trouble, now: float) -> str:
    """Why no call is let through."""
    if trouble.retry_at == inf:
        return 'it failed, and has restart = "never"'
    count = len(trouble.failures)
    if count >= rules.breaker:
        return f"it failed {count} times within {now - trouble.failures[0]:.0f} s"
    return "it failed again when it was tried"


def _unavailable(state: State, reason: str, text: str, *more: Message) -> Unavailable:
    unit = state.rules.unit
    return Unavailable(
        f"unit {unit!r}{text}",
        details=[error_info(reason, unit=unit), *more],
        dispatched=Dispatch.NO,
    )
