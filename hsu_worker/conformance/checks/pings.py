"""Whether it answers while it works, and what it tells of its load."""

import asyncio
import os

from hsu_worker.conformance import bounds
from hsu_worker.conformance.check import Lane, Level, check_on
from hsu_worker.conformance.finding import NotMet, Skipped, during, expect, expect_that
from hsu_worker.conformance.held import held, held_all
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.worker import Worker, seconds_of
from hsu_worker.errors import RpcError, Unimplemented
from hsu_worker.gen.hsu_core import GetStatusRequest, GetStatusResponse


@check_on(
    Lane.RUNNING,
    Level.MUST,
    "C13",
    "Ping returns the payload and the instance.",
    "An answer that is not one's own may come from whoever took the place.",
    harmless=True,
)
async def ping_echo(_lab: Lab, worker: Worker) -> None:
    for payload in (b"", b"hello", os.urandom(1000), bytes(1 << 16)):
        answer = await worker.ping(payload)
        expect(f"the payload of {len(payload)} bytes", payload, answer.payload)
        expect("the instance", worker.told.instance, answer.instance)


@check_on(
    Lane.RUNNING,
    Level.MUST,
    "C13 S4",
    "Ping and Handshake answer while a call is in flight.",
    "A master kills a worker that does not answer.",
)
async def ping_under_load(lab: Lab, worker: Worker) -> None:
    async with held(lab, worker) as call:
        for _ in range(5):
            try:
                await worker.expect_state("RUNNING")
                await worker.handshake()
            except RpcError as error:
                raise NotMet("an answer while a call is in flight", str(error)) from None
        await call.cancel()


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "C14",
    "Ping answers at once, with busy, when all slots are taken.",
    "Busy is not dead: without the difference a worker is killed for having work.",
)
async def ping_when_full(lab: Lab, worker: Worker) -> None:
    async with held_all(lab, worker):
        expect("busy, with all slots taken", True, (await worker.ping()).busy)


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "C15",
    "Ping tells the calls in flight and their age.",
    "By these a master tells a worker that is at work from one that is stuck.",
)
async def ping_load(lab: Lab, worker: Worker) -> None:
    expect("calls_in_flight, before any call", 0, (await worker.ping()).calls_in_flight)
    async with held(lab, worker) as call:
        await asyncio.sleep(bounds.SETTLE)
        if call.answer.done():
            raise Skipped(f"{call.slow.path} ends too soon")
        told = await worker.ping()
        expect("calls_in_flight, during a call", 1, told.calls_in_flight)
        for name in ("oldest_call_age", "oldest_unbounded_call_age"):
            age = seconds_of(name, getattr(told, name))
            expect_that(age > 0, f"{name}, during a call without a deadline", f"{age} s")


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "C16",
    "GetStatus tells the state and the calls in flight.",
    "People ask a worker that hangs, and this answers.",
)
async def status(lab: Lab, worker: Worker) -> None:
    with during("in STOPPED"):
        await _expect_status(worker, calls=0)
    await worker.run()
    with during("in RUNNING"):
        await _expect_status(worker, calls=0)
    if lab.help.slow_method or any(method.client_streaming for _, method in worker.methods):
        async with held(lab, worker):
            with during("during a call"):
                await _expect_status(worker, calls=1)


async def _expect_status(worker: Worker, *, calls: int) -> None:
    try:
        told: GetStatusResponse = await worker.core.get_status(
            GetStatusRequest(), timeout=bounds.ANSWER * worker.patience
        )
    except Unimplemented as error:
        raise NotMet("an answer of GetStatus", str(error)) from None
    expect("state", (await worker.ping()).state, told.state)
    expect("calls_in_flight", calls, told.calls_in_flight)
