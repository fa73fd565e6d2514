"""The owner of a unit when anything happens at any time: cancellation at each step, seeds."""

import asyncio
import random
from contextlib import suppress

import pytest

from hsu_worker.errors import RpcError
from hsu_worker.master.policy import Restart
from tests.master.lives import any_plan, live_a_hundred
from tests.master.sim.clock import run
from tests.master.sim.fakes import WELL, House, Plan, virtual

SEEDS = 300

OUTCOMES = {
    "DEADLINE_EXCEEDED no",
    "DEADLINE_EXCEEDED unknown",
    "RESOURCE_EXHAUSTED no",
    "UNAVAILABLE no",
    "UNAVAILABLE unknown",
}


async def passes(count: int) -> None:
    """Let the loop turn so often; no time passes."""
    for _ in range(count):
        await asyncio.sleep(0)


async def ended(call: "asyncio.Future[tuple[float, int | str]]") -> int | str:
    try:
        return (await call)[1]
    except asyncio.CancelledError:
        return "left"


@pytest.mark.parametrize("step", range(25))
@virtual
async def test_a_first_caller_may_leave_at_any_step(step: int) -> None:
    async with House(Plan(startup=0.0), idle=5.0) as it:
        call = asyncio.ensure_future(it.call())
        await passes(step)
        call.cancel()
        assert await ended(call) in ("left", 1)
        assert (it.now, 1) == await it.call()
        assert 0 == it.unit.state.leases
        await it.until(6.0)
        assert "absent" == it.unit.state.phase


@pytest.mark.parametrize("step", range(12))
@pytest.mark.parametrize("cancelled_first", [True, False])
@virtual
async def test_a_caller_may_leave_in_the_instant_of_its_grant(
    step: int, cancelled_first: bool
) -> None:
    async with House(concurrency=1) as it:
        await it.call()
        loop = asyncio.get_running_loop()
        late: asyncio.Future[tuple[float, int | str]] = loop.create_future()
        if cancelled_first:
            loop.call_later(1.0, lambda: late.cancel())
        first = asyncio.ensure_future(it.call(1.0))
        await passes(5)
        late = asyncio.ensure_future(it.call(1.0))
        last = asyncio.ensure_future(it.call(1.0))
        await passes(5)
        assert 2 == len(it.unit.state.waiters)
        await it.until(2.0)
        await passes(step)
        late.cancel()
        assert (2.0, 1) == await first
        assert "left" == await ended(late)
        assert (3.0, 1) == await last
        assert 0 == it.unit.state.leases


@pytest.mark.parametrize("step", range(12))
@virtual
async def test_a_caller_may_leave_in_the_instant_of_a_crash(step: int) -> None:
    async with House() as it:
        await it.call()
        calls = [asyncio.ensure_future(it.call(5.0)) for _ in range(3)]
        await it.until(2.0)
        it.worker.end()
        await passes(step)
        calls[0].cancel()
        first, *others = [await ended(call) for call in calls]
        assert first in ("left", "UNAVAILABLE unknown")
        assert ["UNAVAILABLE unknown"] * 2 == others
        assert 2 == (await it.call())[1]
        assert 0 == it.unit.state.leases
        # The first may have left before anybody knew of the crash.
        assert it.crashes[0].calls in (2, 3)


@virtual
async def test_nobody_is_sent_to_a_worker_that_was_stopped_in_the_instant_of_the_grant() -> None:
    async with House(concurrency=1, drain=0.0) as it:
        first = it.unit.lease(None)(None)
        await first.__aenter__()
        second = asyncio.ensure_future(it.call())
        await passes(3)
        assert 1 == len(it.unit.state.waiters)
        await first.__aexit__(None, None, None)
        granted = it.unit.state
        assert (1, 0) == (granted.leases, len(granted.waiters))
        await it.unit.stop()
        assert (2.5, 2) == await second
        assert [0, 1] == [worker.asked for worker in it.workers]


@pytest.mark.parametrize("step", range(12))
@virtual
async def test_who_asked_for_a_swap_may_leave_at_any_step(step: int) -> None:
    async with House(Plan(startup=0.0, ending=0.0)) as it:
        await it.call()
        swap = asyncio.ensure_future(it.unit.swap(it.config))
        await passes(step)
        swap.cancel()
        with suppress(asyncio.CancelledError):
            await swap
        await asyncio.sleep(1.0)
        served = (await it.call())[1]
        assert it.unit.state.last == served
        assert served + 1 == await it.unit.swap(it.config)


@virtual
async def test_a_swap_in_the_instant_in_which_another_ends_finds_its_launch() -> None:
    # The third one crashes while the second still has a call.
    async with House(WELL, WELL, Plan(lives=0.5), WELL, drain=20.0) as it:
        await it.call()
        swaps = [asyncio.ensure_future(it.unit.swap(it.config))]
        calls = []

        def once_more() -> None:
            swaps.append(asyncio.ensure_future(it.unit.swap(it.config)))
            calls.append(asyncio.ensure_future(it.call(10.0)))

        it.on_stopped = once_more
        assert 2 == await swaps[0]
        assert 2 == len(swaps)
        await it.until(5.0)
        assert (6.0, 4) == await it.call()
        assert (12.5, 2) == await calls[0]
        assert 4 == await swaps[1]


@virtual
async def test_a_call_of_a_unit_that_runs_costs_two_events() -> None:
    async with House() as it:
        await it.call()
        before = it.unit.fed
        for _ in range(1000):
            await it.call()
        assert 2000 == it.unit.fed - before


@virtual
async def test_calls_that_wait_cost_two_events_each() -> None:
    async with House(concurrency=5) as it:
        await asyncio.gather(*(it.call() for _ in range(1000)))
        # And one that the worker has started.
        assert 2001 == it.unit.fed


async def one_life(seed: int) -> list[int | str]:
    """Callers, operators and accidents, drawn from a seed; returns how the calls ended."""
    dice = random.Random(seed)
    # The jitter of a backoff.
    random.seed(seed)

    it = House(
        *(any_plan(dice) for _ in range(30)),
        WELL,
        idle=dice.choice((0.5, 2.0)),
        warm=dice.choice((None, 0.5, 2.0)),
        drain=dice.choice((0.0, 1.0, 5.0)),
        queue=dice.choice((3, 1000)),
        concurrency=dice.choice((None, 1, 3)),
        restart=dice.choice((Restart.ON_DEMAND, Restart.ON_FAILURE, Restart.ALWAYS)),
        breaker_retry=2.0,
        ping=2.0,
        ping_timeout=1.0,
    )

    async def call() -> int | str:
        await it.until(at := dice.uniform(0, 10))
        timeout = dice.uniform(0, 3) if dice.random() < 0.3 else None
        task = asyncio.ensure_future(it.call(dice.choice((0.0, 0.1, 2.0)), timeout))
        if dice.random() < 0.2:
            asyncio.get_running_loop().call_at(it.began + at + dice.random(), task.cancel)
        return await ended(task)

    async def deed() -> None:
        await it.until(dice.uniform(0, 10))
        unit, worker = it.unit, it.worker if it.workers else None
        with suppress(RpcError):
            match dice.randrange(9):
                case 0:
                    await unit.stop()
                case 1:
                    await unit.stop(hold=True)
                    await unit.start()
                case 2:
                    await unit.restart()
                case 3 | 4:
                    await unit.swap(it.config)
                case 5 | 6 if worker is not None:
                    worker.end(clean=dice.random() < 0.3)
                case 7 if worker is not None:
                    worker.leaving = True
                    asyncio.get_running_loop().call_later(1.0, worker.end, True)
                case 8 if worker is not None:
                    worker.stuck = True

    calls = [asyncio.ensure_future(call()) for _ in range(30)]
    deeds = [asyncio.ensure_future(deed()) for _ in range(8)]
    if dice.random() < 0.3:
        await it.until(dice.uniform(0, 10))
        await it.close()
    ends = await asyncio.gather(*calls)
    await asyncio.gather(*deeds)
    await it.close()
    return ends


@pytest.mark.parametrize("first", range(0, SEEDS, 100))
def test_t40_whatever_happens_each_call_ends_once_and_nothing_is_left(first: int) -> None:
    live_a_hundred(one_life, first, calls=30, outcomes=OUTCOMES)


def test_the_virtual_clock_tells_who_waits_for_ever() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    async def leave_a_task() -> None:
        left.append(asyncio.ensure_future(asyncio.sleep(1)))

    left: list[asyncio.Future[None]] = []
    with pytest.raises(TimeoutError):
        run(wait())
    with pytest.raises(AssertionError, match="tasks that were left behind"):
        run(leave_a_task())
