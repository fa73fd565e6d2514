"""The owner of a unit while somebody swaps, stops and restarts it, under a virtual clock."""

import asyncio

import pytest

from hsu_worker.errors import FailedPrecondition, StartError, Unavailable
from hsu_worker.gen.hsu_core import HandshakeResponse, InterfaceInfo, MethodInfo
from hsu_worker.master.policy import Restart, Suspect
from tests.master.sim.fakes import WELL, House, Plan, virtual

BROKEN = Plan(startup=0.25, fails="it is broken")


@virtual
async def test_t28_no_call_fails_under_twelve_callers_and_two_hundred_swaps() -> None:
    async with House(Plan(startup=0.05, ending=0.02)) as it:
        stop = asyncio.Event()
        ends: list[tuple[float, int | str]] = []

        async def caller(length: float) -> None:
            while not stop.is_set():
                ends.append(await it.call(length))

        callers = [asyncio.ensure_future(caller(0.01 + n / 100)) for n in range(12)]
        await it.call()
        for n in range(200):
            assert n + 2 == await it.unit.swap(it.config)
            assert it.workers[n].stopped
        stop.set()
        await asyncio.gather(*callers)
        assert [] == [end for end in ends if not isinstance(end[1], int)]
        assert len(ends) > 1000
        assert 201 == len(it.workers)


@pytest.mark.parametrize(
    ("plan", "ends", "why"),
    [
        (BROKEN, 2.75, "it is broken"),
        (Plan(startup=3.0, fails="it hangs"), 5.5, "it hangs"),
    ],
)
@virtual
async def test_t29_a_swap_that_fails_leaves_the_old_one_in_service(
    plan: Plan, ends: float, why: str
) -> None:
    async with House(WELL, plan, WELL) as it:
        long = asyncio.ensure_future(it.call(8.0))
        await it.until(2.0)
        swap = asyncio.ensure_future(it.unit.swap(it.config))
        while not swap.done():
            assert (it.now, 1) == await it.call()
            await asyncio.sleep(0.25)
        with pytest.raises(FailedPrecondition, match=why):
            await swap
        assert ends == next(at for at, kind in it.kinds if kind == "failed")
        assert (9.0, 1) == await long
        # Another one may be tried.
        assert 3 == await it.unit.swap(it.config)
        assert (it.now, 3) == await it.call()


@virtual
async def test_t29_a_second_swap_is_refused_and_the_first_goes_on() -> None:
    async with House() as it:
        await it.call()
        first = asyncio.ensure_future(it.unit.swap(it.config))
        await asyncio.sleep(0.5)
        with pytest.raises(FailedPrecondition) as caught:
            await it.unit.swap(it.config)
        text = "unit 'u': a swap is under way; try again when it has ended"
        assert text == caught.value.message
        assert 2 == await first
        assert 3 == await it.unit.swap(it.config)
        await it.unit.stop()
        assert 4 == (await it.call())[1]


@virtual
async def test_t30_a_stream_past_the_drain_ends_and_the_swap_completes() -> None:
    async with House(drain=30.0) as it:
        stream = asyncio.ensure_future(it.call(3600.0))
        await it.until(2.0)
        assert 2 == await it.unit.swap(it.config)
        # A start of 1 s, a drain of 30 s, an end of 0.5 s.
        assert 33.5 == it.now
        assert (33.0, "UNAVAILABLE unknown") == await stream


@virtual
async def test_a_restart_starts_another_one_and_who_comes_meanwhile_waits() -> None:
    async with House() as it:
        long = asyncio.ensure_future(it.call(2.0))
        await it.until(1.5)
        restart = asyncio.ensure_future(it.unit.restart())
        await asyncio.sleep(0)
        late = asyncio.ensure_future(it.call())
        assert (3.0, 1) == await long
        assert 2 == await restart
        assert (4.5, 2) == await late


@virtual
async def test_a_start_after_a_stop_during_a_start_is_not_forgotten() -> None:
    async with House() as it:
        call = asyncio.ensure_future(it.call(2.0))
        await it.until(0.5)
        stop = asyncio.ensure_future(it.unit.stop())
        await asyncio.sleep(0)
        await it.unit.start()
        assert (3.0, 1) == await call
        await stop
        await it.until(10.0)
        assert (2, "ready") == (it.unit.state.last, it.unit.state.phase)


@virtual
async def test_a_stop_in_the_instant_in_which_the_worker_goes_is_no_error() -> None:
    async with House(Plan(ending=0.0), idle=1.0) as it:
        await it.call()
        await it.until(2.0)
        for _ in range(20):
            await asyncio.gather(it.unit.stop(), asyncio.sleep(0))
        assert "absent" == it.unit.state.phase


@virtual
async def test_a_restart_during_a_start_that_callers_wait_for_returns_the_next_one() -> None:
    async with House() as it:
        call = asyncio.ensure_future(it.call(2.0))
        await it.until(0.5)
        # The first one comes at 1 s and answers until 3 s.
        assert 2 == await it.unit.restart()
        assert (4.5, "ready") == (it.now, it.unit.state.phase)
        assert (3.0, 1) == await call


@virtual
async def test_a_start_behind_a_stop_returns_the_one_that_it_starts() -> None:
    async with House() as it:
        long = asyncio.ensure_future(it.call(2.0))
        await it.until(1.5)
        stop = asyncio.ensure_future(it.unit.stop())
        await asyncio.sleep(0)
        assert 2 == await it.unit.start()
        assert (3.0, 1) == await long
        await stop


@virtual
async def test_who_starts_a_unit_by_hand_waits_for_no_place_among_its_callers() -> None:
    async with House(concurrency=1, queue=5, drain=100.0) as it:
        calls = [asyncio.ensure_future(it.call(60.0)) for _ in range(5)]
        assert 1 == await it.unit.start()
        assert 1.0 == it.now
        restart = asyncio.ensure_future(it.unit.restart())
        # The calls that have no lease yet are the next one's.
        assert 2 == await restart
        assert [(61.0, 1)] == [await calls[0]]
        assert (62.5, "ready") == (it.now, it.unit.state.phase)
        await asyncio.gather(*calls)


@virtual
async def test_a_start_that_fails_says_so_to_whoever_asked_for_it() -> None:
    async with House(BROKEN, restart=Restart.ALWAYS) as it:
        for start in (it.unit.start, it.unit.restart):
            with pytest.raises(StartError, match="it is broken"):
                await start()


@virtual
async def test_a_start_that_somebody_stops_says_so_to_whoever_asked_for_it() -> None:
    async with House() as it:
        for hold, text in ((False, "was stopped while"), (True, "is held")):
            start = asyncio.ensure_future(it.unit.start())
            await asyncio.sleep(0.5)
            await it.unit.stop(hold=hold)
            with pytest.raises(Unavailable, match=text):
                await start
        start = asyncio.ensure_future(it.unit.start())
        await asyncio.sleep(0.5)
        await it.unit.close()
        with pytest.raises(Unavailable, match="the master is leaving"):
            await start


@virtual
async def test_a_start_of_a_unit_whose_worker_has_just_died_starts_another_one() -> None:
    async with House() as it:
        await it.call()
        it.worker.end()
        # Its end is not known yet; a call that could not be delivered made it suspect.
        it.unit._feed(Suspect(1))
        assert 2 == await it.unit.start()


@virtual
async def test_a_stop_ends_a_start_that_nobody_waits_for_any_more() -> None:
    async with House(Plan(startup=100.0)) as it:
        call = asyncio.ensure_future(it.call())
        await it.until(1.0)
        stop = asyncio.ensure_future(it.unit.stop())
        await it.until(2.0)
        call.cancel()
        await stop
        assert 2.5 == it.now


OFFERS = HandshakeResponse(
    interfaces=[
        InterfaceInfo(
            name="hsu.test.v1.Kinds",
            fingerprint="1",
            methods=[MethodInfo(name="One", input="x.v1.A", output="x.v1.B")],
        )
    ]
)
LACKS = HandshakeResponse(interfaces=[InterfaceInfo(name="hsu.test.v1.Kinds", fingerprint="2")])
GREW = HandshakeResponse(
    interfaces=[
        InterfaceInfo(
            name="hsu.test.v1.Kinds",
            fingerprint="3",
            methods=[
                MethodInfo(name="One", input="x.v1.A", output="x.v1.B"),
                MethodInfo(name="Two", input="x.v1.A", output="x.v1.B"),
            ],
        )
    ]
)


@pytest.mark.parametrize("idles", [False, True])
@virtual
async def test_what_takes_the_place_of_an_absent_worker_has_to_offer_what_that_did(
    idles: bool,
) -> None:
    async with House(
        Plan(handshake=OFFERS), Plan(handshake=LACKS), Plan(handshake=GREW), idle=5.0
    ) as it:
        await it.call()
        if idles:
            await it.until(10.0)
            assert "absent" == it.unit.state.phase
        with pytest.raises(FailedPrecondition, match=r"hsu\.test\.v1\.Kinds/One is missing"):
            await it.unit.swap(it.config)
        assert 3 == await it.unit.swap(it.config)


@virtual
async def test_a_strict_unit_takes_nothing_that_differs() -> None:
    async with House(Plan(handshake=OFFERS), Plan(handshake=GREW), strict=True) as it:
        await it.call()
        with pytest.raises(
            FailedPrecondition, match=r"the fingerprints of hsu\.test\.v1\.Kinds differ"
        ):
            await it.unit.swap(it.config)


@virtual
async def test_a_held_unit_is_swapped_and_stays_held() -> None:
    async with House() as it:
        await it.call()
        await it.unit.stop(hold=True)
        assert 2 == await it.unit.swap(it.config)
        assert "held" == it.unit.state.phase
        assert it.worker.stopped
        assert 3 == await it.unit.start()
