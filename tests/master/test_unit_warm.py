"""The owner of a unit whose process outlives its lifespans, under a virtual clock."""

import asyncio

import pytest

from tests.master.sim.fakes import WELL, House, Plan, virtual

WARM = {"idle": 1.0, "warm": 10.0}


@virtual
async def test_a_call_has_the_same_process_serve_again() -> None:
    async with House(**WARM) as it:
        assert (1.0, 1) == await it.call()
        await it.until(3.0)
        assert "warm" == it.unit.state.phase
        assert it.unit.could_serve
        assert (3.2, 1) == await it.call()
        assert [1] == [worker.resumed for worker in it.workers]
        await it.until(20.0)
        assert "absent" == it.unit.state.phase
        kinds = ["starting", "ready", "warm", "starting", "ready", "warm", "stopping", "stopped"]
        assert kinds == [kind for _, kind in it.kinds]
        assert (4.3, "warm") == it.kinds[5]
        assert (14.3, "stopping") == it.kinds[6]


@virtual
async def test_calls_during_the_warm_stop_wait_for_it_and_lose_nothing() -> None:
    async with House(Plan(warm_stop=2.0), **WARM) as it:
        await it.call()
        calls = [asyncio.ensure_future(it.call(at=2.5)) for _ in range(20)]
        assert [(4.2, 1)] * 20 == [await call for call in calls]


@pytest.mark.parametrize(
    "plan",
    [
        Plan(warm_fails="stop"),
        Plan(warm_fails="start"),
        Plan(raises="warm stop"),
        Plan(raises="warm start"),
    ],
    ids=["stop fails", "start fails", "stop raises", "start raises"],
)
@virtual
async def test_a_warm_stop_or_start_that_fails_loses_no_call(plan: Plan) -> None:
    async with House(plan, WELL, **WARM) as it:
        await it.call()
        calls = [asyncio.ensure_future(it.call(at=2.05)) for _ in range(20)]
        assert {2} == {(await call)[1] for call in calls}
        assert "" == it.unit.state.trouble.reason


@pytest.mark.parametrize("at", [2.05, 3.0, 4.1])
@virtual
async def test_a_warm_process_that_dies_is_noticed_and_loses_no_call(at: float) -> None:
    async with House(WELL, WELL, **WARM) as it:
        await it.call()
        call = asyncio.ensure_future(it.call(at=4.0))
        await it.until(at)
        it.worker.end()
        await asyncio.sleep(0.001)
        assert it.unit.state.phase in ("stopping", "absent")
        assert 2 == (await call)[1]
        assert ["exited"] == [kind for _, kind in it.kinds if kind in ("exited", "failed")]
        assert 1 == len(it.crashes)


@virtual
async def test_a_warm_process_that_answers_nothing_is_killed() -> None:
    async with House(WELL, WELL, idle=1.0, warm=600.0) as it:
        await it.call()
        await it.until(5.0)
        it.worker.stuck = True
        await it.until(60.0)
        assert ("absent", True) == (it.unit.state.phase, it.worker.forced)
        assert 2 == (await it.call())[1]


@virtual
async def test_nobody_looks_at_one_that_enters_its_lifespans() -> None:
    async with House(Plan(warm_start=100.0), idle=1.0, warm=600.0) as it:
        await it.call()
        call = asyncio.ensure_future(it.call(at=5.0))
        await it.until(6.0)
        it.worker.stuck, pings = True, it.worker.pings
        await it.until(90.0)
        assert pings == it.worker.pings
        it.worker.stuck = False
        assert (105.0, 1) == await call
        await it.until(600.0)
        assert it.worker.pings > pings


@virtual
async def test_who_starts_a_warm_unit_by_hand_gets_the_same_generation() -> None:
    async with House(**WARM) as it:
        assert 1 == await it.unit.start()
        await it.until(3.0)
        assert 1 == await it.unit.start()
        assert "ready" == it.unit.state.phase
        await it.until(4.25)
        assert "warm" == it.unit.state.phase
        assert 1 == await it.unit.start()


@virtual
async def test_who_starts_by_hand_one_that_can_not_come_back_gets_the_next() -> None:
    async with House(Plan(warm_fails="start"), WELL, **WARM) as it:
        assert 1 == await it.unit.start()
        await it.until(3.0)
        assert 2 == await it.unit.start()


@virtual
async def test_a_stop_a_restart_and_a_swap_end_the_warm_process() -> None:
    async with House(**WARM) as it:
        await it.call()
        await it.until(3.0)
        await it.unit.stop()
        assert (3.5, "absent") == (it.now, it.unit.state.phase)
        await it.call()
        await it.until(6.0)
        assert 3 == await it.unit.restart()
        await it.until(9.0)
        assert "warm" == it.unit.state.phase
        assert 4 == await it.unit.swap(it.config)
        assert 4 == (await it.call())[1]
        await it.until(14.0)
        assert "warm" == it.unit.state.phase


@pytest.mark.parametrize("at", [2.05, 3.0, 4.1])
@virtual
async def test_a_close_ends_it_whatever_it_does(at: float) -> None:
    async with House(**WARM) as it:
        await it.call()
        call = asyncio.ensure_future(it.call(at=4.0))
        await it.until(at)
        await it.close()
        assert "UNAVAILABLE no" == (await call)[1]
