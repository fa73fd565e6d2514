"""What callers are told who get no lease. None of these calls has reached a worker."""

from math import inf

from hsu_worker.errors import Dispatch, FailedPrecondition, ResourceExhausted, Unavailable
from hsu_worker.master.policy.state import State
from hsu_worker.master.policy.trouble import Rules, Trouble
from hsu_worker.wire.chain import waits_for_itself
from hsu_worker.wire.status import error_info, retry_info

#: What a full queue tells its callers to wait, in seconds.
_QUEUE_PAUSE = 1.0


def leaving(state: State) -> Unavailable:
    return _unavailable(f"unit {state.rules.unit!r}: the master is leaving")


def stopped(state: State) -> Unavailable:
    return _unavailable(f"unit {state.rules.unit!r} was stopped while the call waited for it")


def held(state: State) -> Unavailable:
    unit = state.rules.unit
    return _unavailable(f"unit {unit!r} is held: somebody stopped it; `hsu-worker start {unit}`")


def not_running(state: State) -> Unavailable:
    return Unavailable(
        f"unit {state.rules.unit!r} is {state.phase}, and the call asked not to wait for a start",
        details=[error_info("NOT_RUNNING")],
        dispatched=Dispatch.NO,
    )


def full(state: State) -> ResourceExhausted:
    return ResourceExhausted(
        f"unit {state.rules.unit!r}: {state.rules.queue} callers wait for it already; "
        "try again later, or raise its `queue`",
        details=[retry_info(_QUEUE_PAUSE)],
        dispatched=Dispatch.NO,
    )


def cycle(state: State, way: str) -> FailedPrecondition:
    return waits_for_itself(
        state.rules.unit, way, "raise its `concurrency`, or call without waiting for the answer"
    )


def faulted(state: State, now: float) -> Unavailable:
    trouble = state.trouble
    assert trouble.retry_at is not None
    unit = state.rules.unit
    message = f"unit {unit!r}: {breaker(state.rules, trouble, now)}; "
    if trouble.retry_at == inf:
        message += f"start it with `hsu-worker start {unit}`; it failed with: {trouble.reason}"
        return _unavailable(message)
    left = trouble.retry_at - now
    return Unavailable(
        f"{message}the next try is in {left:.1f} s; the last: {trouble.reason}",
        details=[retry_info(left)],
        dispatched=Dispatch.NO,
    )


def breaker(rules: Rules, trouble: Trouble, now: float) -> str:
    """Why no call is let through."""
    if trouble.retry_at == inf:
        return 'it failed, and has restart = "never"'
    count = len(trouble.failures)
    if count >= rules.breaker:
        return f"it failed {count} times within {now - trouble.failures[0]:.0f} s"
    return "it failed again when it was tried"


def _unavailable(message: str) -> Unavailable:
    return Unavailable(message, dispatched=Dispatch.NO)
