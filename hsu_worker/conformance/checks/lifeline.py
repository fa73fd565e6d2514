"""Whether it notices that its master is gone."""

import asyncio

from hsu_worker.conformance import bounds
from hsu_worker.conformance.check import Level, check
from hsu_worker.conformance.family import family
from hsu_worker.conformance.finding import Skipped, expect_that
from hsu_worker.conformance.held import held
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.underway import starting

#: Seconds that calls in flight are given once the master is gone.
_GRACE = 2.0


@check(
    Level.MUST,
    "L9 L1",
    "The end of its lifeline ends it with exit code 0, STOPPED or RUNNING.",
    "A master that was killed says nothing any more.",
)
async def lifeline(lab: Lab) -> None:
    for run in (False, True):
        async with lab.launch(run=run) as worker:
            worker.end_lifeline()
            await worker.leaves(
                bounds.LEAVE, f"the end of its lifeline, in {'RUNNING' if run else 'STOPPED'}"
            )


@check(
    Level.MUST,
    "L9 L1",
    "The end of its lifeline during a start ends it too, with exit code 0.",
    "A master may be killed at any time.",
)
async def lifeline_while_starting(lab: Lab) -> None:
    async with lab.launch(env=lab.help.slow_start) as worker, starting(lab, worker):
        worker.end_lifeline()
        await worker.leaves(bounds.LEAVE, "the end of its lifeline, during a start")


@check(
    Level.MUST,
    "L9",
    "A lifeline that has ended before it announces itself ends it.",
    "Imports take their time, and the master may be gone by then.",
)
async def lifeline_before_announcement(lab: Lab) -> None:
    async with lab.spawn(ended_lifeline=True) as worker:
        await worker.announced()
        # Soon, and not only because nobody claims it.
        await worker.exited(bounds.SOON, "launched with a lifeline that has ended")


@check(
    Level.MUST,
    "L9 L3",
    "With a call in flight it leaves too, a little later.",
    "Nobody waits for the answer any more; what the call does may still be worth its end.",
)
async def lifeline_with_call(lab: Lab) -> None:
    async with lab.launch(run=True) as worker, held(lab, worker):
        worker.end_lifeline()
        await worker.leaves(_GRACE + bounds.LEAVE, "the end of its lifeline, during a call")


@check(
    Level.MUST,
    "L9",
    "Without HSU_LIFELINE descriptor 0 is the lifeline.",
    "The variable may be missing.",
)
async def lifeline_by_default(lab: Lab) -> None:
    async with lab.launch(changes={"HSU_LIFELINE": None}) as worker:
        worker.end_lifeline()
        await worker.leaves(bounds.LEAVE, "the end of its lifeline")


@check(
    Level.MUST,
    "L10",
    "Bytes on the lifeline change nothing, however many, and its end is still noticed.",
    "Somebody who starts it by hand presses a key.",
)
async def lifeline_bytes(lab: Lab) -> None:
    async with lab.launch(run=True) as worker:
        worker.write_lifeline(b"hello\nexit\n\x04" + bytes(10_000))
        await asyncio.wait((worker.exit,), timeout=bounds.SETTLE)
        expect_that(worker.alive, "life after bytes on the lifeline", "it has exited")
        await worker.expect_state("RUNNING")
        worker.end_lifeline()
        await worker.leaves(bounds.LEAVE, "bytes on the lifeline, and its end")


@check(
    Level.MUST,
    "L11",
    "With HSU_LIFELINE=none the end of descriptor 0 changes nothing.",
    "Such a worker shall outlive its master.",
)
async def lifeline_none(lab: Lab) -> None:
    async with lab.launch(lifeline="none", run=True) as worker:
        worker.end_lifeline()
        await asyncio.wait((worker.exit,), timeout=3 * bounds.SETTLE)
        expect_that(worker.alive, "life after the end of descriptor 0", "it has exited")
        await worker.expect_state("RUNNING")


@check(
    Level.MUST,
    "L13",
    "When lifeline, connections and the readers of its output end together, nothing is left of it.",
    "That is what kill -9 of a master looks like from below.",
)
async def master_killed(lab: Lab) -> None:
    async with lab.launch(run=True) as worker:
        try:
            async with held(lab, worker):
                await worker.lose_everything()
                await worker.exited(_GRACE + bounds.LEAVE, "the end of its master")
        except Skipped:
            await worker.lose_everything()
            await worker.exited(bounds.LEAVE, "the end of its master")
        left: list[str] = []

        def nobody() -> bool:
            nonlocal left
            left = [member.shown for member in family(worker.variables.instance).values()]
            return not left

        await lab.until(nobody, bounds.SOON, lambda: ("no process after that", f"{left}"))
