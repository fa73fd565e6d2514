"""From RUNNING to STOPPED, and back."""

import time
from typing import Final

from hsu_worker.conformance import bounds
from hsu_worker.conformance.check import Lane, Level, check, check_on
from hsu_worker.conformance.finding import NotMet, Skipped, during, expect, expect_that, needs
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.underway import starting, stopping
from hsu_worker.conformance.worker import Worker, last_state

_CYCLES: Final = 3
#: The part of a whole start that stopping one takes at the most, on a machine that has other things to do.
_ABANDONED: Final = 0.5


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C10",
    "Stop ends in STOPPED, calls are refused then, and Start works again, time after time.",
    "An idle worker is stopped and started as often as somebody calls it.",
)
async def stop_and_start(_lab: Lab, worker: Worker) -> None:
    for cycle in range(1, _CYCLES + 1):
        with during(f"cycle {cycle}"):
            await worker.run()
            await worker.expect_state("RUNNING")
            for interface, method in worker.methods[:1]:
                answer = await worker.call(interface, method)
                expect_that(
                    answer.code != "UNAVAILABLE", f"{method.name} served in RUNNING", answer
                )
            expect("what Stop answers", "STOPPED", await worker.stop())
            await worker.expect_state("STOPPED")
            await worker.expect_refused("after Stop")


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C11",
    "Stop in STOPPED answers STOPPED at once.",
    "Whoever wants it stopped need not know how it stands.",
)
async def stop_again(_lab: Lab, worker: Worker) -> None:
    for _ in range(2):
        expect("what Stop answers in STOPPED", "STOPPED", await worker.stop())


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C10 S2",
    "Stop lets calls in flight end, and refuses new ones meanwhile.",
    "No call is lost because a worker is stopped.",
)
async def stop_waits(lab: Lab, worker: Worker) -> None:
    async with stopping(lab, worker) as (call, [stop]):
        if not call.answer.done():
            expect_that(not stop.done(), "Stop to wait for the call in flight", "it has answered")
            await worker.expect_refused("during Stop")
        await call.ends_well(lab.patience, "in flight during Stop")
        expect("what Stop answers", "STOPPED", await stop)


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "S2 S4 H1 H2 T1",
    "While it stops it refuses new calls, Core answers, and of health only 'live' is SERVING.",
    "A stop waits for its calls, and nobody may take that for a hang.",
)
async def while_stopping(lab: Lab, worker: Worker) -> None:
    async with stopping(lab, worker) as (call, [stop]):
        try:
            await worker.expect_not_serving("STOPPING")
        except NotMet:
            if call.answer.done():
                raise Skipped(f"{call.slow.path} ends too soon") from None
            raise
        await call.end(lab.patience)
        expect("what Stop answers", "STOPPED", await stop)


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C11",
    "Two Stops at the same time have the same end.",
    "Whoever hears STOPPED may take the memory for something else.",
)
async def stop_joined(lab: Lab, worker: Worker) -> None:
    async with stopping(lab, worker, stops=2) as (call, stops):
        if not call.answer.done():
            early = [stop.result() for stop in stops if stop.done()]
            expect("the answers of two Stops, with a call in flight", [], early)
        await call.end(lab.patience)
        answers = [await stop for stop in stops]
        expect("the answers of two Stops", ["STOPPED"] * 2, answers)


@check(
    Level.MUST,
    "C11",
    "Stop during a start ends in STOPPED; Start's stream ends in order, and works again.",
    "Whoever has changed his mind need not wait, nor kill.",
)
async def stop_while_starting(lab: Lab) -> None:
    await _stop_while_starting(lab)


@check(
    Level.SHOULD,
    "C12",
    "It then abandons the start: Stop doesn't wait for it, and Start ends with FAILED.",
    "A start may take minutes; whoever stops it has waited enough.",
)
async def stop_abandons(lab: Lab) -> None:
    if not lab.help.slow_start:
        raise needs("a worker whose start lasts", "--slow-start NAME=VALUE")
    ended, part = await _stop_while_starting(lab)
    expect_that(ended.startswith("FAILED"), "the end of Start, abandoned: FAILED", ended)
    expect_that(
        part < _ABANDONED, "Stop to answer long before a start would end", f"{part:.0%} of it"
    )


async def _stop_while_starting(lab: Lab) -> tuple[str, float]:
    """Start, and stop at once; returns how the start ended, and what part of a whole one the stop took."""
    async with lab.launch(env=lab.help.slow_start) as worker:
        async with starting(lab, worker) as start:
            began = time.monotonic()
            answer = await worker.stop(timeout=bounds.START)
            took = time.monotonic() - began
            expect("what Stop answers during a start", "STOPPED", answer)
            ended = last_state(await start)
        await worker.expect_state("STOPPED")
        began = time.monotonic()
        await worker.run()
        return ended, took / (time.monotonic() - began)
