"""The owner of a unit whose worker doesn't do what workers do, under a virtual clock."""

import asyncio

import pytest

from tests.master.sim.fakes import WELL, House, Plan, virtual


@virtual
async def test_calls_that_come_after_a_missed_ping_wait_and_are_lost_no_more() -> None:
    async with House() as it:
        await it.call()
        it.worker.stuck = True
        # The look at 11 s misses at 16 s; two more, and it is given up at 28 s.
        await it.until(15.0)
        early = asyncio.ensure_future(it.call())
        await it.until(17.0)
        late = [asyncio.ensure_future(it.call()) for _ in range(5)]
        assert (28.0, "UNAVAILABLE unknown") == await early
        assert [(29.5, 2)] * 5 == await asyncio.gather(*late)


@virtual
async def test_a_worker_that_answers_again_gets_the_calls_that_waited() -> None:
    async with House() as it:
        await it.call()
        it.worker.stuck = True
        await it.until(17.0)
        waiting = [asyncio.ensure_future(it.call()) for _ in range(3)]
        await it.until(17.5)
        it.worker.stuck = False
        # The next look is at 17 s, and times out at 22 s; the one after it is answered.
        assert [(23.0, 1)] * 3 == await asyncio.gather(*waiting)
        assert 1 == len(it.workers)


@virtual
async def test_a_worker_that_has_closed_its_server_may_end_in_its_own_time() -> None:
    """It flushes something, in an atexit function perhaps; a signal would cut that short."""
    async with House() as it:
        await it.call()
        it.worker.closed = True
        call = asyncio.ensure_future(it.call())
        # It is suspect at once, and on its way out a second later.
        assert (3.5, 2) == await call
        first, second = it.workers
        assert (False, True) == (first.forced, first.left_alone)
        assert not second.left_alone
        assert 0 == it.unit.state.trouble.streak


@pytest.mark.parametrize(
    ("step", "first"), [("start", "UNAVAILABLE no"), ("ended", 2), ("stop", 1)]
)
@virtual
async def test_nobody_waits_for_ever_for_what_nobody_expected(step: str, first: int | str) -> None:
    async with House(Plan(raises=step), WELL) as it:
        assert first == (await it.call())[1]
        await it.unit.stop()
        assert isinstance((await it.call())[1], int)
        assert len(it.workers) > 1
