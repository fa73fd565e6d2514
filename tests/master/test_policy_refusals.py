"""Who gets no lease, and is told why and when to come again."""

from dataclasses import replace
from math import inf

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from hsu_worker.errors import (
    Dispatch,
    FailedPrecondition,
    ResourceExhausted,
    RpcError,
    Unavailable,
)
from hsu_worker.master.policy import (
    Arrive,
    Close,
    Event,
    Gone,
    StartFailed,
    State,
    StopAsked,
    Trouble,
    decide,
)
from tests.master.states import (
    ABSENT,
    BROKEN,
    BUSY,
    DRAINING,
    NOW,
    STARTING,
    WAITED_FOR,
    WAITED_OUT,
    refusal,
    ruled,
)

FULL = ruled(BUSY, concurrency=2)
OPEN = Trouble(
    failures=(40.0, 90.0), streak=2, reason="exit code 1", retry_at=NOW + 12.5, open=True
)

REFUSALS = {
    "queue full": (
        WAITED_FOR,
        Arrive(9),
        ResourceExhausted,
        "unit 'u': 2 callers wait for it already; try again later, or raise its `queue`",
        ["QUEUE_FULL", 1.0],
    ),
    "queue full, at a drain": (
        replace(DRAINING, waiters=(1, 2)),
        Arrive(9),
        ResourceExhausted,
        "unit 'u': 2 callers wait for it already; try again later, or raise its `queue`",
        ["QUEUE_FULL", 1.0],
    ),
    "queue full, all slots taken": (
        replace(FULL, waiters=(1, 2)),
        Arrive(9),
        ResourceExhausted,
        "unit 'u': 2 callers wait for it already; try again later, or raise its `queue`",
        ["QUEUE_FULL", 1.0],
    ),
    "all slots taken, perhaps by who waits for this": (
        FULL,
        Arrive(9, cycle="u → v → u"),
        FailedPrecondition,
        (
            "unit 'u' has no room for a call that it may be waiting for itself: u → v → u; "
            "raise its `concurrency`, or call without waiting for the answer"
        ),
        ["CALL_CYCLE"],
    ),
    "draining, perhaps until who waits for this has ended": (
        DRAINING,
        Arrive(9, cycle="u → v → u"),
        FailedPrecondition,
        (
            "unit 'u' has no room for a call that it may be waiting for itself: u → v → u; "
            "raise its `concurrency`, or call without waiting for the answer"
        ),
        ["CALL_CYCLE"],
    ),
    "held": (
        replace(ABSENT, held=True),
        Arrive(9),
        Unavailable,
        "unit 'u' is held: somebody stopped it; `hsu-worker start u`",
        ["HELD"],
    ),
    "held, still draining": (
        replace(DRAINING, held=True),
        Arrive(9),
        Unavailable,
        "unit 'u' is held: somebody stopped it; `hsu-worker start u`",
        ["HELD"],
    ),
    "no start wanted": (
        ABSENT,
        Arrive(9, start=False),
        Unavailable,
        "unit 'u' is absent, and the call asked not to wait for a start",
        ["NOT_RUNNING"],
    ),
    "no start wanted, starting": (
        STARTING,
        Arrive(9, start=False),
        Unavailable,
        "unit 'u' is starting, and the call asked not to wait for a start",
        ["NOT_RUNNING"],
    ),
    "no start wanted, backoff": (
        replace(ABSENT, trouble=Trouble(retry_at=NOW + 1)),
        Arrive(9, start=False),
        Unavailable,
        "unit 'u' is backoff, and the call asked not to wait for a start",
        ["NOT_RUNNING"],
    ),
    "breaker open": (
        ruled(replace(ABSENT, trouble=OPEN), breaker=2),
        Arrive(9),
        Unavailable,
        "unit 'u': it failed 2 times within 60 s; the next try is in 12.5 s; the last: exit code 1",
        ["FAULTED", 12.5],
    ),
    "breaker open again": (
        replace(ABSENT, trouble=OPEN),
        Arrive(9),
        Unavailable,
        (
            "unit 'u': it failed again when it was tried; the next try is in 12.5 s; "
            "the last: exit code 1"
        ),
        ["FAULTED", 12.5],
    ),
    'restart = "never"': (
        replace(ABSENT, trouble=replace(OPEN, retry_at=inf)),
        Arrive(9),
        Unavailable,
        (
            "unit 'u': it failed, and has restart = \"never\"; start it with `hsu-worker start u`; "
            "it failed with: exit code 1"
        ),
        ["FAULTED"],
    ),
    "master leaving": (
        replace(ABSENT, closed=True),
        Arrive(9),
        Unavailable,
        "unit 'u': the master is leaving",
        ["MASTER_LEAVING"],
    ),
}


def told(error: RpcError) -> list[float | str]:
    """What the details say to a program."""
    found: list[float | str] = []
    for detail in error.details:
        if isinstance(detail, RetryInfo):
            found.append(detail.retry_delay.ToTimedelta().total_seconds())
        if isinstance(detail, ErrorInfo):
            found.append(detail.reason)
    return found


@pytest.mark.parametrize("name", REFUSALS)
def test_who_is_refused_is_told_why(name: str) -> None:
    state, event, kind, text, details = REFUSALS[name]
    waiters, error = refusal(state, event)
    assert ((9,), text) == (waiters, error.message)
    assert (kind, Dispatch.NO) == (type(error), error.dispatched)
    assert details == told(error)
    assert state == decide(state, event, NOW)[0]


@pytest.mark.parametrize(
    ("state", "event", "kind", "text"),
    [
        (WAITED_FOR, StartFailed(1, BROKEN), type(BROKEN), "it is broken"),
        (
            WAITED_FOR,
            StopAsked(hold=True),
            Unavailable,
            "unit 'u' was stopped while the call waited for it",
        ),
        (
            replace(ABSENT, waiters=(1, 2), trouble=Trouble(retry_at=NOW + 1)),
            StopAsked(),
            Unavailable,
            "unit 'u' was stopped while the call waited for it",
        ),
        (WAITED_OUT, Close(), Unavailable, "unit 'u': the master is leaving"),
        (
            replace(WAITED_OUT, trouble=OPEN, rules=replace(WAITED_OUT.rules, breaker=2)),
            Gone(1),
            Unavailable,
            (
                "unit 'u': it failed 2 times within 60 s; the next try is in 12.5 s; "
                "the last: exit code 1"
            ),
        ),
    ],
)
def test_those_who_wait_are_refused_together(
    state: State, event: Event, kind: type, text: str
) -> None:
    waiters, error = refusal(state, event)
    assert ((1, 2), text) == (waiters, error.message)
    assert (kind, Dispatch.NO) == (type(error), error.dispatched)
    assert () == decide(state, event, NOW)[0].waiters
