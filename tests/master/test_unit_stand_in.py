"""The owner of a unit while somebody else's workers stand in for it, under a virtual clock."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from hsu_worker.errors import FailedPrecondition
from hsu_worker.gen.hsu_core import HandshakeResponse, InterfaceInfo, MethodInfo
from hsu_worker.master.duration import NEVER
from hsu_worker.master.policy import Restart
from tests.master.sim.fakes import WELL, FakeWorker, House, Plan, virtual
from tests.until import until

QUICK = Plan(startup=0.05, ending=0.02)
WHO = "a worker has registered, at unix:/s"


async def stood_in(it: House) -> FakeWorker:
    """Let a worker stand in; returns it as soon as calls go to it."""
    instance = await it.unit.stand_in(replace(it.config, ping=NEVER), WHO)
    assert it.worker is instance.worker
    return it.worker


async def leave(worker: FakeWorker) -> None:
    """End as a worker does that is asked to: it takes no new calls, and finishes those it has."""
    worker.leaving = True
    await until(lambda: not worker.running)
    worker.end(clean=True)


@virtual
async def test_t49_no_call_fails_under_twelve_callers_while_stand_ins_come_and_leave() -> None:
    async with House(QUICK) as it:
        stop = asyncio.Event()
        ends: list[tuple[float, int | str]] = []

        async def caller(length: float) -> None:
            while not stop.is_set():
                ends.append(await it.call(length))

        callers = [asyncio.ensure_future(caller(0.01 + n / 100)) for n in range(12)]
        for n in range(100):
            await it.call()
            worker = await stood_in(it)
            assert worker.generation == (await it.call())[1]
            if n % 2:
                it.unit.keep_place(worker.generation, 0.3)
            await leave(worker)
        stop.set()
        await asyncio.gather(*callers)
        assert [] == [end for end in ends if not isinstance(end[1], int)]
        assert len(ends) > 1000


@virtual
async def test_t49_a_stand_in_that_dies_ends_its_calls_and_loses_none_that_waited() -> None:
    async with House(QUICK) as it:
        worker = await stood_in(it)
        calls = [asyncio.ensure_future(it.call(5.0)) for _ in range(3)]
        await it.until(1.0)
        worker.end(clean=True)
        late = asyncio.ensure_future(it.call())
        assert ["UNAVAILABLE unknown"] * 3 == [(await call)[1] for call in calls]
        # By the unit's own worker.
        assert 2 == (await late)[1]
        assert "" == it.unit.state.trouble.reason


@virtual
async def test_a_stand_in_that_answers_nothing_for_hours_is_not_dead() -> None:
    async with House(QUICK, idle=60.0, restart=Restart.ALWAYS) as it:
        worker = await stood_in(it)
        worker.stuck = True
        call = asyncio.ensure_future(it.call(1.0))
        await it.until(10 * 3600.0)
        assert ("ready", 0) == (it.unit.state.phase, worker.pings)
        call.cancel()


@virtual
async def test_calls_wait_for_one_that_comes_back_and_then_for_the_units_own() -> None:
    async with House(QUICK) as it:
        worker = await stood_in(it)
        it.unit.keep_place(worker.generation, 10.0)
        await leave(worker)
        first = asyncio.ensure_future(it.call())
        await it.until(5.0)
        assert 2 == (await stood_in(it)).generation
        assert (it.now, 2) == await first
        it.unit.keep_place(2, 10.0)
        left = it.now
        await leave(it.worker)
        at, generation = await it.call()
        assert (round(left + 10.0 + QUICK.startup, 6), 3) == (at, generation)


@virtual
async def test_one_waits_until_the_last_one_has_gone() -> None:
    async with House(Plan(ending=2.0), WELL, drain=30.0) as it:
        long = asyncio.ensure_future(it.call(10.0))
        await it.until(2.0)
        worker = await stood_in(it)
        assert (3.0, 2) == await it.call()
        await leave(worker)
        # The first generation still has a call until 11.0, and takes 2 s to end.
        assert 3 == (await stood_in(it)).generation
        assert (11.0, 1) == await long
        assert 14.0 == it.now


@virtual
async def test_a_second_one_is_refused() -> None:
    async with House(QUICK) as it:
        await stood_in(it)
        with pytest.raises(FailedPrecondition, match="unit 'u': another worker stands in for it"):
            await stood_in(it)
        assert 1 == (await it.call())[1]


@virtual
async def test_one_that_will_not_do_is_told_why() -> None:
    async with House(WELL, Plan(fails="it lacks a method")) as it:
        await it.call()
        with pytest.raises(FailedPrecondition, match="it can't stand in: it lacks a method"):
            await stood_in(it)
        assert 1 == (await it.call())[1]
        assert ["swapping", "failed", "swap failed"] == [kind for _, kind in it.kinds[-3:]]


@pytest.mark.parametrize("step", range(12))
@virtual
async def test_who_wants_to_stand_in_may_leave_at_any_step(step: int) -> None:
    async with House(Plan(startup=0.0, ending=0.0)) as it:
        await it.call()
        coming = asyncio.ensure_future(it.unit.stand_in(it.config, WHO))
        for _ in range(step):
            await asyncio.sleep(0)
        coming.cancel()
        with suppress(asyncio.CancelledError):
            await coming
        await asyncio.sleep(1.0)
        for worker in it.workers[1:]:
            worker.end(clean=True)
        served = (await it.call())[1]
        assert it.unit.state.last == served
        assert served + 1 == (await stood_in(it)).generation


@virtual
async def test_one_that_leaves_as_soon_as_it_has_come_is_no_instance() -> None:
    async with House(Plan(startup=0.0, lives=0.0, clean=True, ending=0.0)) as it:
        with suppress(FailedPrecondition):
            await stood_in(it)
        await asyncio.sleep(1.0)
        assert "absent" == it.unit.state.phase


@pytest.mark.parametrize(("hold", "phase"), [(False, "absent"), (True, "held")])
@virtual
async def test_a_stop_sends_it_away_and_says_so(hold: bool, phase: str) -> None:
    async with House(QUICK) as it:
        instance = await it.unit.stand_in(it.config, WHO)
        await it.unit.stop(hold=hold)
        await instance.gone.wait()
        assert instance.sent_away is not None
        assert ("asked", phase) == (instance.sent_away.trigger, it.unit.state.phase)


def offering(*methods: str) -> Plan:
    info = InterfaceInfo(
        name="hsu.test.v1.Kinds", methods=[MethodInfo(name=name) for name in methods]
    )
    return Plan(startup=0.05, ending=0.02, handshake=HandshakeResponse(interfaces=[info]))


@virtual
async def test_it_has_to_offer_what_the_unit_does_and_not_what_another_stand_in_did() -> None:
    plans = (offering("Get"), offering("Get", "Put"), offering("Get"), offering("Put"))
    async with House(*plans) as it:
        await it.call()
        for _ in range(2):
            await leave(await stood_in(it))
            await asyncio.sleep(1.0)
        with pytest.raises(FailedPrecondition, match=r"hsu\.test\.v1\.Kinds/Get is missing"):
            await stood_in(it)
