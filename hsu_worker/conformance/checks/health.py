"""What its health service says, to whom nobody has to be introduced."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2

from hsu_worker.conformance import bounds
from hsu_worker.conformance.check import Lane, Level, check_on
from hsu_worker.conformance.finding import NotMet, Skipped, during, expect, expect_that
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.worker import HEALTH, Worker, status_name


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "H1",
    '"" and its interfaces are SERVING in RUNNING, and NOT_SERVING in STOPPED.',
    "Load balancers send calls by it.",
)
async def health_states(_lab: Lab, worker: Worker) -> None:
    with during("in STOPPED"):
        await worker.expect_health("NOT_SERVING")
    await worker.run()
    with during("in RUNNING"):
        await worker.expect_health("SERVING")
    await worker.stop()
    with during("in STOPPED again"):
        await worker.expect_health("NOT_SERVING")


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "H2",
    "'live' is SERVING in every state.",
    "A liveness probe that asks for more kills workers that are only not started.",
)
async def health_live(_lab: Lab, worker: Worker) -> None:
    for state, turn in (("STOPPED", None), ("RUNNING", worker.run), ("STOPPED", worker.stop)):
        if turn is not None:
            await turn()
        with during(f"in {state}"):
            expect("the health of 'live'", "SERVING", await worker.health("live"))


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "H3",
    "Names that nobody serves are NOT_FOUND.",
    "A misspelt name in a probe is then found at once.",
    harmless=True,
)
async def health_unknown(_lab: Lab, worker: Worker) -> None:
    seen = await worker.health("no.such.Interface")
    expect_that(seen.startswith("NOT_FOUND"), "the health of no.such.Interface: NOT_FOUND", seen)


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "H4",
    "Watch tells the health, and each change of it.",
    "Clients that balance their own load watch, and don't ask.",
)
async def health_watch(lab: Lab, worker: Worker) -> None:
    for name in ("", *worker.names):
        watch = _watch(worker, name)
        with during(f"watching {name!r}"):
            await _next(lab, watch, "NOT_SERVING")
            await worker.run()
            await _next(lab, watch, "SERVING")
            await worker.stop()
            await _next(lab, watch, "NOT_SERVING")
        await watch.aclose()


async def _watch(worker: Worker, name: str) -> AsyncGenerator[str, None]:
    request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
    channel: Any = worker.connection.channel
    call = channel.unary_stream(f"{HEALTH}/Watch")(request)
    try:
        async for body in call:
            yield status_name(body)
    finally:
        call.cancel()


async def _next(lab: Lab, watch: AsyncGenerator[str, None], wanted: str) -> None:
    within, seen = bounds.SOON * lab.patience, ""
    try:
        async with asyncio.timeout(within):
            # On the way it may tell more than once what holds.
            async for seen in watch:
                if seen == wanted:
                    return
    except TimeoutError:
        told = f"only {seen}" if seen else "no change"
        raise NotMet(f"{wanted} within {within:g} s", f"Watch tells {told}") from None
    except grpc.aio.AioRpcError as error:
        raise NotMet(wanted, f"{error.code().name} {error.details()!r}") from None
    raise NotMet(wanted, "Watch has ended")


@check_on(
    Lane.RUNNING,
    Level.MAY,
    "H5",
    "List tells the health of all names.",
    "Tools show it.",
    harmless=True,
)
async def health_list(_lab: Lab, worker: Worker) -> None:
    answer = await worker.ask(f"{HEALTH}/List")
    if answer.code == "UNIMPLEMENTED":
        raise Skipped("it has no List")
    expect("the status of List", "OK", answer.code)
    body = answer.bodies[0] if answer.bodies else b""
    missing = [name for name in (*worker.names, "live") if name.encode() not in body]
    expect("names that List doesn't tell", [], missing)
