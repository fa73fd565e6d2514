import asyncio
import math
import time

import pytest

from hsu_worker import Call, current_call, report_progress
from hsu_worker.authoring.call import CURRENT_CALL, PROGRESS
from hsu_worker.gen.hsu_a import InterfaceA


def a_call(deadline: float | None = None) -> Call:
    return Call(
        interface=InterfaceA,
        method=InterfaceA.methods["summarize"],
        metadata={"k": "v"},
        peer="unix:",
        deadline=deadline,
        id="c0ffee",
    )


async def test_a_handler_and_its_threads_see_the_call() -> None:
    call = a_call()
    CURRENT_CALL.set(call)
    assert call is current_call()
    assert call is await asyncio.to_thread(current_call)


def test_outside_a_call_there_is_none() -> None:
    with pytest.raises(LookupError) as caught:
        current_call()
    assert "current_call() outside a call: it works in handlers and what they run" == str(
        caught.value
    )


def test_a_call_is_cancelled_once_somebody_says_so() -> None:
    call = a_call()
    assert not call.cancelled
    call.cancel()
    assert call.cancelled


def test_the_time_that_remains() -> None:
    assert a_call().time_remaining is None
    assert 0.0 == a_call(deadline=time.monotonic() - 1).time_remaining
    remaining = a_call(deadline=time.monotonic() + 1000).time_remaining
    assert remaining is not None
    assert 0 < remaining <= 1000


@pytest.mark.parametrize(
    ("told", "passed_on"),
    [(0.5, 0.5), (-1, 0.0), (2, 1.0), (math.nan, 0.0), (math.inf, 1.0)],
)
async def test_progress_lies_between_0_and_1(told: float, passed_on: float) -> None:
    reports: list[tuple[float, str]] = []
    PROGRESS.set(lambda fraction, text: reports.append((fraction, text)))
    report_progress(told, "loading")
    report_progress(told)
    assert [(passed_on, "loading"), (passed_on, "")] == reports


def test_outside_a_lifespan_progress_is_told_to_nobody() -> None:
    report_progress(0.5, "loading")
