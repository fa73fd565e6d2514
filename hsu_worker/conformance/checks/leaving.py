"""How it leaves when it is asked to."""

import asyncio
import signal
from contextlib import nullcontext, suppress
from typing import Any

import grpc.aio

from hsu_worker.conformance import bounds
from hsu_worker.conformance.check import Level, check
from hsu_worker.conformance.family import family, family_of
from hsu_worker.conformance.finding import Skipped, during, expect, expect_that, needs
from hsu_worker.conformance.held import held
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.underway import starting
from hsu_worker.conformance.worker import HEALTH, seconds_of, state_name
from hsu_worker.errors import RpcError, Unimplemented
from hsu_worker.gen.hsu_core import StreamLogsRequest

#: A grace that no check waits for.
_LONG = 60.0
_SHORT = 0.5


@check(
    Level.MUST,
    "C18 L1",
    "Shutdown is answered, and ends it with exit code 0, STOPPED or RUNNING.",
    "The master takes any other code for a crash.",
)
async def shutdown(lab: Lab) -> None:
    for run in (False, True):
        state = "RUNNING" if run else "STOPPED"
        async with lab.launch(run=run) as worker:
            with during(f"in {state}"):
                await worker.shutdown()
                await worker.leaves(bounds.LEAVE, "Shutdown")


@check(
    Level.SHOULD,
    "C19",
    "Shutdown answers with the grace that it keeps: the request's, or 30 s.",
    "Whoever asked knows then when to stop waiting.",
)
async def shutdown_grace(lab: Lab) -> None:
    for grace, kept in ((7.0, 7.0), (None, 30.0)):
        async with lab.launch() as worker:
            told = seconds_of("grace", (await worker.shutdown(grace)).grace)
            asked = "without a grace" if grace is None else f"with {grace:g} s"
            expect(f"the grace that Shutdown {asked} tells", f"{kept:g} s", f"{told:.3g} s")


@check(
    Level.MUST,
    "L3",
    "After Shutdown a call in flight may take its grace, and ends as ever.",
    "A worker is replaced without a lost call.",
)
async def shutdown_waits(lab: Lab) -> None:
    async with lab.launch(run=True) as worker, held(lab, worker) as call:
        await worker.shutdown(_LONG)
        await asyncio.wait((worker.exit,), timeout=bounds.SETTLE)
        expect_that(worker.alive, "life while a call is in flight", "it has exited")
        await call.ends_well(lab.patience, "in flight after Shutdown")
        await worker.leaves(bounds.LEAVE, "the end of the last call")


@check(
    Level.MUST,
    "L3 L4",
    "A call that takes longer than the grace is cut off, and the worker exits.",
    "A stop that waits for the slowest caller is none.",
)
async def shutdown_cuts_off(lab: Lab) -> None:
    async with lab.launch(run=True) as worker, held(lab, worker) as call:
        await worker.shutdown(_SHORT)
        await worker.leaves(_SHORT + bounds.LEAVE, f"Shutdown with a grace of {_SHORT:g} s")
        answer = await call.cut_off()
        expect_that(answer.code != "OK", f"{call.slow.path}, cut off: an error", answer)


@check(
    Level.SHOULD,
    "D6 S3",
    "Its caller reads UNAVAILABLE, with hsu-dispatched: yes and the reason CUT_OFF.",
    "Then he knows that the call has run, and that it may have done something.",
)
async def cut_off_reason(lab: Lab) -> None:
    async with lab.launch(run=True) as worker, held(lab, worker) as call:
        await worker.shutdown(_SHORT)
        await worker.exited(_SHORT + bounds.LEAVE, f"Shutdown with a grace of {_SHORT:g} s")
        answer = await call.cut_off()
        expect_that(
            (answer.code, answer.dispatched, answer.reason)
            == ("UNAVAILABLE", "yes", "hsu CUT_OFF"),
            "UNAVAILABLE, hsu-dispatched: yes, ErrorInfo hsu CUT_OFF",
            answer,
        )


@check(
    Level.MUST,
    "S2 S4 H1 H2 T1",
    "While it drains it refuses new calls, 'live' is SERVING, and all else is NOT_SERVING.",
    "Callers go elsewhere, and no probe kills what finishes its calls.",
)
async def draining(lab: Lab) -> None:
    async with lab.launch(run=True) as worker, held(lab, worker) as call:
        await worker.shutdown(_LONG)
        await worker.expect_not_serving("DRAINING")
        await call.cancel()


@check(
    Level.SHOULD,
    "S3 C9 C12",
    "It says why: ErrorInfo DRAINING, Start is FAILED_PRECONDITION, Stop answers DRAINING.",
    "One that leaves is not one that can be started.",
)
async def draining_reasons(lab: Lab) -> None:
    async with lab.launch(run=True) as worker, held(lab, worker) as call:
        await worker.shutdown(_LONG)
        for answer in await worker.expect_refused("in DRAINING"):
            expect("the ErrorInfo", "hsu DRAINING", answer.reason or "none")
        try:
            steps = await worker.start(timeout=bounds.ANSWER)
            seen = f"OK, {state_name(steps[-1].state) if steps else 'no message'}"
        except RpcError as error:
            seen = error.code.name
        expect("Start in DRAINING", "FAILED_PRECONDITION", seen)
        expect("what Stop answers in DRAINING", "DRAINING", await worker.stop())
        await call.cancel()


@check(
    Level.MUST,
    "L5",
    "Logs that are followed and health that is watched don't keep it.",
    "Somebody always looks; a worker that waits for them never leaves.",
)
async def shutdown_with_streams(lab: Lab) -> None:
    async with lab.launch(run=True) as worker:
        request = StreamLogsRequest(follow=True)
        tasks = [asyncio.create_task(_drained(worker.core.stream_logs(request)))]
        channel: Any = worker.connection.channel
        watches = [channel.unary_stream(f"{HEALTH}/Watch")(b"") for _ in range(2)]
        tasks += [asyncio.create_task(_drained(watch)) for watch in watches]
        try:
            await asyncio.wait(tasks, timeout=bounds.SETTLE)
            await worker.shutdown(_LONG)
            await worker.leaves(bounds.LEAVE, "Shutdown, with its own streams open")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _drained(stream: Any) -> str:
    """Read a stream to its end; returns how it ended."""
    try:
        async for _ in stream:
            pass
    except (RpcError, grpc.aio.AioRpcError) as error:
        return "UNIMPLEMENTED" if isinstance(error, Unimplemented) else str(error)
    return "OK"


@check(
    Level.SHOULD,
    "L6",
    "It ends a log that is followed with status OK.",
    "A stream that breaks looks like a crash.",
)
async def shutdown_ends_logs(lab: Lab) -> None:
    async with lab.launch(run=True) as worker:
        logs = worker.core.stream_logs(StreamLogsRequest(follow=True))
        follower = asyncio.create_task(_drained(logs))
        try:
            await asyncio.wait((follower,), timeout=bounds.SETTLE)
            if follower.done() and follower.result() == "UNIMPLEMENTED":
                raise Skipped("it keeps no log: StreamLogs is UNIMPLEMENTED")
            await worker.shutdown(_LONG)
            await asyncio.wait((follower,), timeout=bounds.LEAVE * lab.patience)
            seen = follower.result() if follower.done() else "no end"
            expect("how the log ends that is followed", "OK", seen)
        finally:
            follower.cancel()


@check(
    Level.SHOULD,
    "L7 C19",
    "A second Shutdown with a shorter grace shortens it.",
    "Whoever has waited long enough may say so.",
)
async def shutdown_sooner(lab: Lab) -> None:
    async with lab.launch(run=True) as worker, held(lab, worker):
        await worker.shutdown(_LONG)
        answer = await worker.shutdown(_SHORT)
        told = seconds_of("grace", answer.grace)
        expect_that(told <= _SHORT, f"the grace that it tells: {_SHORT:g} s or less", f"{told:g} s")
        await worker.exited(_SHORT + bounds.LEAVE, "a second Shutdown, with a shorter grace")


@check(
    Level.MUST,
    "L3",
    "A second Shutdown with a longer grace does not lengthen it.",
    "A stop that can be put off is no bound for anybody.",
)
async def shutdown_not_later(lab: Lab) -> None:
    async with lab.launch(run=True) as worker, held(lab, worker):
        await worker.shutdown(_SHORT)
        # It may have left already.
        with suppress(RpcError):
            await worker.shutdown(_LONG)
        await worker.exited(_SHORT + bounds.LEAVE, "a second Shutdown, with a longer grace")


@check(
    Level.MUST,
    "L1",
    "Shutdown during a start ends it too, with exit code 0.",
    "A start may take minutes; a master that leaves doesn't wait for it.",
)
async def shutdown_while_starting(lab: Lab) -> None:
    async with lab.launch(env=lab.help.slow_start) as worker, starting(lab, worker):
        await worker.shutdown()
        await worker.leaves(bounds.LEAVE, "Shutdown during a start")


@check(
    Level.MUST,
    "L1",
    "SIGTERM ends it with exit code 0, STOPPED, STARTING or RUNNING.",
    "It is what systems send that know no gRPC.",
)
async def sigterm(lab: Lab) -> None:
    for state in ("STOPPED", "STARTING", "RUNNING"):
        env = lab.help.slow_start if state == "STARTING" else {}
        async with (
            lab.launch(env=env, run=state == "RUNNING") as worker,
            starting(lab, worker) if state == "STARTING" else nullcontext(),
        ):
            with during(f"in {state}"):
                worker.process.signal(signal.SIGTERM)
                await worker.leaves(bounds.LEAVE, "SIGTERM")


@check(
    Level.SHOULD,
    "L2",
    "SIGINT ends it like SIGTERM.",
    "Ctrl-C in a terminal reaches the whole group.",
)
async def sigint(lab: Lab) -> None:
    async with lab.launch(run=True) as worker:
        worker.process.signal(signal.SIGINT)
        await worker.leaves(bounds.LEAVE, "SIGINT")


@check(
    Level.MUST,
    "L3",
    "After SIGTERM a call in flight ends as ever.",
    "A system that shuts down gives its processes time for that.",
)
async def sigterm_waits(lab: Lab) -> None:
    async with lab.launch(run=True) as worker, held(lab, worker) as call:
        worker.process.signal(signal.SIGTERM)
        await asyncio.wait((worker.exit,), timeout=bounds.SETTLE)
        expect_that(worker.alive, "life while a call is in flight", "it has exited")
        await call.ends_well(lab.patience, "in flight at SIGTERM")
        await worker.leaves(bounds.LEAVE, "the end of the last call")


@check(
    Level.SHOULD,
    "L8",
    "A second SIGTERM ends it at once, calls or not.",
    "Whoever presses Ctrl-C twice means now.",
)
async def second_signal(lab: Lab) -> None:
    async with lab.launch(run=True) as worker, held(lab, worker):
        worker.process.signal(signal.SIGTERM)

        async def refusing() -> bool:
            return await worker.state() == "DRAINING"

        await lab.until(refusing, bounds.ANSWER, lambda: ("DRAINING after SIGTERM", "RUNNING"))
        worker.process.signal(signal.SIGTERM)
        await worker.exited(bounds.SOON, "a second SIGTERM")


@check(
    Level.MUST,
    "L4",
    "It exits though what Start acquired is never released.",
    "A thread in native code can't be stopped; a process can.",
)
async def stuck_release(lab: Lab) -> None:
    if not lab.help.stuck_release:
        raise needs("a worker that never releases something", "--stuck-release NAME=VALUE")
    async with lab.launch(env=lab.help.stuck_release, run=True) as worker:
        await worker.shutdown()
        await worker.leaves(bounds.LEAVE, "Shutdown")


@check(
    Level.MUST,
    "L14",
    "All that it starts stays in its process group, and is gone after its exit.",
    "What nobody waits for holds memory, ports and the master's pipes for ever.",
)
async def children_gone(lab: Lab) -> None:
    async with lab.launch(run=True) as worker:
        for interface, method in worker.methods:
            await worker.call(interface, method)
        expect(
            "processes that have left its group",
            {},
            {
                pid: member.shown
                for pid, member in family_of(worker).items()
                if member.line.group != worker.process.pid
            },
        )
        await worker.shutdown()
        await worker.exited(bounds.LEAVE, "Shutdown")
        left: dict[int, str] = {}

        def nobody() -> bool:
            nonlocal left
            members = family(worker.variables.instance)
            left = {pid: member.shown for pid, member in members.items()}
            return not left

        await lab.until(
            nobody,
            bounds.SOON,
            lambda: ("no process after its exit", f"{left}"),
        )
