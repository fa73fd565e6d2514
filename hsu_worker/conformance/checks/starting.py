"""From STOPPED to RUNNING."""

import asyncio

from hsu_worker.conformance import bounds
from hsu_worker.conformance.check import Lane, Level, check, check_on
from hsu_worker.conformance.finding import NotMet, during, expect, expect_that, needs
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.underway import starting, stopping
from hsu_worker.conformance.worker import Worker, last_state, state_name
from hsu_worker.errors import RpcError


@check(
    Level.MUST,
    "S1",
    "It is STOPPED until somebody calls Start.",
    "The master decides when a worker takes its memory.",
)
async def stopped_at_first(lab: Lab) -> None:
    async with lab.launch() as worker:
        await asyncio.sleep(bounds.SETTLE)
        await worker.expect_state("STOPPED")


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "S2",
    "Before Start its methods are UNAVAILABLE, with hsu-dispatched: no, and start nothing.",
    "The caller, or the master, makes such a call again; of any other it can't know whether it ran.",
)
async def refused_before_start(_lab: Lab, worker: Worker) -> None:
    await worker.expect_refused("before Start")
    await worker.expect_state("STOPPED")


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "S3",
    "The refusal holds an ErrorInfo with the domain hsu and the reason NOT_RUNNING.",
    "Programs read reasons; texts are for people.",
)
async def refusal_reason(_lab: Lab, worker: Worker) -> None:
    for answer in await worker.expect_refused("before Start"):
        expect("the ErrorInfo", "hsu NOT_RUNNING", answer.reason or "none")


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C5",
    "Start ends with status OK, and a last message that holds RUNNING.",
    "The master lends the worker from that message on.",
)
async def start_running(_lab: Lab, worker: Worker) -> None:
    steps = await worker.start()
    expect("the last message of Start", "RUNNING", last_state(steps))
    early = {state_name(step.state) for step in steps[:-1]}
    expect("the states before it", set(), early - {"STARTING"})
    await worker.expect_state("RUNNING")


@check_on(
    Lane.RUNNING,
    Level.MUST,
    "C6",
    "Start, once it is RUNNING, says so at once.",
    "A master that takes over a worker calls Start, to be sure.",
)
async def start_again(lab: Lab, worker: Worker) -> None:
    steps = await worker.start(timeout=bounds.ANSWER)
    expect("the messages of a second Start", ["RUNNING"], [last_state([step]) for step in steps])
    await worker.expect_state("RUNNING")


@check(
    Level.MUST,
    "C6",
    "Two Starts at the same time have the same end.",
    "What loads a model twice needs its memory twice.",
)
async def start_joined(lab: Lab) -> None:
    async with lab.launch(env=lab.help.slow_start) as worker:
        ends = await asyncio.gather(*(worker.start() for _ in range(5)))
        expect("the ends of five Starts", ["RUNNING"] * 5, [last_state(steps) for steps in ends])
        await worker.expect_state("RUNNING")


@check(
    Level.MUST,
    "C7",
    "A caller of Start who leaves, or runs out of time, stops nothing.",
    "A start belongs to the unit: many calls may wait for it, each with its own patience.",
)
async def start_outlives_its_caller(lab: Lab) -> None:
    async with lab.launch(env=lab.help.slow_start) as worker:
        caller = asyncio.create_task(worker.start())
        await asyncio.wait((caller,), timeout=bounds.SETTLE)
        caller.cancel()
        await asyncio.wait((caller,))
        impatient = asyncio.create_task(worker.start(timeout=0.1 / lab.patience))
        await asyncio.wait((impatient,))
        # Its own deadline is no finding.
        if not impatient.cancelled():
            impatient.exception()
        await _reaches(lab, worker, "RUNNING")


@check(
    Level.MUST,
    "S2 S4 H1 H2 T1",
    "While it starts it refuses calls, Core answers, and of health only 'live' is SERVING.",
    "A handler that runs before its model is loaded answers nonsense.",
)
async def while_starting(lab: Lab) -> None:
    async with lab.launch(env=lab.help.slow_start) as worker, starting(lab, worker) as start:
        try:
            await worker.expect_not_serving("STARTING")
        except NotMet:
            if await worker.state() != "STARTING":
                await asyncio.wait((start,), timeout=bounds.SETTLE)
                # It may have been RUNNING when it did that.
                if start.done():
                    raise needs("a worker whose start lasts", "--slow-start NAME=VALUE") from None
            raise


async def _reaches(lab: Lab, worker: Worker, wanted: str) -> None:
    seen = ""

    async def there() -> bool:
        nonlocal seen
        seen = await worker.state()
        return seen == wanted

    await lab.until(there, bounds.START, lambda: (f"{wanted}, by itself,", seen))


@check(
    Level.SHOULD,
    "C8",
    "During a long start it tells how far it is.",
    "The master gives up a start that shows no progress; one that moves may take its time.",
)
async def start_progress(lab: Lab) -> None:
    if not lab.help.slow_start:
        raise needs("a worker whose start lasts", "--slow-start NAME=VALUE")
    async with lab.launch(env=lab.help.slow_start) as worker:
        steps = await worker.start()
        progress = [step for step in steps if step.fraction or step.text]
        told = [step for step in progress if state_name(step.state) == "STARTING"]
        expect_that(
            bool(told), "a message with STARTING and fraction or text", f"{len(steps)} messages"
        )


@check(
    Level.MUST,
    "C5 C6 C11",
    "A start that fails ends with FAILED and the reason, and can be tried again.",
    "The reason is what people read; a process that is still there can be asked.",
)
async def start_failed(lab: Lab) -> None:
    if not lab.help.failing_start:
        raise needs("a worker whose start fails", "--failing-start NAME=VALUE")
    async with lab.launch(env=lab.help.failing_start) as worker:
        for attempt in ("the first Start", "the second Start"):
            with during(attempt):
                steps = await worker.start()
                last = steps[-1] if steps else None
                expect_that(
                    last is not None and state_name(last.state) == "FAILED" and bool(last.reason),
                    "a last message with FAILED and a reason",
                    last_state(steps),
                )
                await worker.expect_state("FAILED")
                await worker.expect_refused("in FAILED")
                await worker.expect_health("NOT_SERVING")
        expect("Stop in FAILED", "STOPPED", await worker.stop())
        await worker.shutdown()
        await worker.leaves(bounds.LEAVE, "Shutdown after a failed start")


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C6",
    "Start while it is STOPPING waits for that, and then starts.",
    "A call that comes while a unit is being stopped starts it again.",
)
async def start_while_stopping(lab: Lab, worker: Worker) -> None:
    async with stopping(lab, worker) as (call, [stop]), starting(lab, worker) as start:
        await asyncio.wait((start,), timeout=bounds.SETTLE)
        try:
            if start.done() and not call.answer.done():
                expect("Start, with a call in flight", "no end yet", last_state(start.result()))
            await call.end(lab.patience)
            expect("what Stop answers", "STOPPED", await stop)
            expect("the last message of Start", "RUNNING", last_state(await start))
            await worker.expect_state("RUNNING")
        except RpcError as error:
            expect("Start during Stop", "RUNNING", str(error))
