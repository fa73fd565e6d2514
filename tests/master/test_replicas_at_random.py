"""A unit with replicas when anything happens at any time: seeds, and callers that leave at each step."""

import asyncio
import random
from contextlib import suppress

import pytest

from hsu_worker.errors import RpcError
from hsu_worker.master.policy import Restart
from tests.master.lives import any_plan, live_a_hundred
from tests.master.sim.fakes import WELL, virtual
from tests.master.sim.row import Row
from tests.master.test_unit_at_random import OUTCOMES, ended, passes

SEEDS = 300


@pytest.mark.parametrize("step", range(14))
@virtual
async def test_a_caller_may_leave_in_the_instant_in_which_it_has_room(step: int) -> None:
    async with Row(idle=60.0) as it:
        await asyncio.gather(it.call(), it.call())
        calls = [asyncio.ensure_future(it.call(1.0)) for _ in range(2)]
        await passes(5)
        late, last = (asyncio.ensure_future(it.call(1.0)) for _ in range(2))
        await it.until(2.0)
        await passes(step)
        late.cancel()
        await asyncio.gather(*calls)
        assert "left" == await ended(late)
        assert isinstance((await last)[1], int)
        assert it.now <= 3.0
        assert [1, 1] == [worker.peak for worker in it.workers]


@pytest.mark.parametrize("step", range(14))
@virtual
async def test_who_comes_in_the_instant_of_a_grant_waits_for_the_next(step: int) -> None:
    async with Row(replicas=1, idle=60.0) as it:
        await it.call()
        first = asyncio.ensure_future(it.call(1.0))
        await passes(5)
        second = asyncio.ensure_future(it.call(1.0))
        await it.until(2.0)
        await passes(step)
        third = asyncio.ensure_future(it.call(1.0))
        assert [2.0, 3.0, 4.0] == [at for at, _ in await asyncio.gather(first, second, third)]


@pytest.mark.parametrize("step", range(14))
@virtual
async def test_a_worker_may_be_lost_in_the_instant_in_which_it_has_room(step: int) -> None:
    async with Row(idle=60.0) as it:
        await asyncio.gather(it.call(), it.call())
        calls = [asyncio.ensure_future(it.call(1.0)) for _ in range(2)]
        await passes(5)
        late = asyncio.ensure_future(it.call(1.0))
        await it.until(2.0)
        await passes(step)
        it.workers[0].end()
        ends = [await ended(call) for call in (*calls, late)]
        assert set(ends) <= {1, 2, 3, "UNAVAILABLE unknown"}
        assert 1 >= ends.count("UNAVAILABLE unknown")


async def one_life(seed: int) -> list[int | str]:
    """Callers, operators and accidents, drawn from a seed; returns how the calls ended."""
    dice = random.Random(seed)
    # The jitter of a backoff.
    random.seed(seed)

    concurrency = dice.choice((1, 2))
    it = Row(
        *(any_plan(dice) for _ in range(40)),
        WELL,
        replicas=dice.choice((1, 2, 3, 5)),
        concurrency=concurrency,
        idle=dice.choice((0.5, 2.0)),
        scale_down=dice.choice((None, 0.3)),
        pinned=dice.random() < 0.2,
        warm=dice.choice((None, 0.5)),
        drain=dice.choice((0.0, 1.0, 5.0)),
        queue=dice.choice((3, 1000)),
        restart=dice.choice((Restart.ON_DEMAND, Restart.ON_FAILURE, Restart.ALWAYS)),
        breaker_retry=2.0,
        ping=2.0,
        ping_timeout=1.0,
    )
    calm = dice.random() < 0.3
    """Nobody changes how many there may be, or puts others beside them."""

    async def call() -> int | str:
        await it.until(at := dice.uniform(0, 10))
        timeout = dice.uniform(0, 3) if dice.random() < 0.3 else None
        task = asyncio.ensure_future(it.call(dice.choice((0.0, 0.1, 2.0)), timeout))
        if dice.random() < 0.2:
            asyncio.get_running_loop().call_at(it.began + at + dice.random(), task.cancel)
        return await ended(task)

    async def deed() -> None:
        await it.until(dice.uniform(0, 10))
        unit = it.replicas
        worker = dice.choice(it.alive) if it.alive else None
        with suppress(RpcError):
            match dice.randrange(6 if calm else 10):
                case 0:
                    await unit.stop()
                case 1:
                    await unit.stop(hold=True)
                    await unit.start()
                case 2:
                    await unit.restart()
                case 3 | 4 if worker is not None:
                    worker.end(clean=dice.random() < 0.3)
                case 5 if worker is not None:
                    worker.stuck = True
                case 6 | 7:
                    await unit.swap(it.config)
                case 8:
                    it.change(replicas=dice.choice((1, 2, 4)))
                case 9:
                    it.change(relaunch=True, app=dice.choice(("m:A", "m:B")))

    calls = [asyncio.ensure_future(call()) for _ in range(40)]
    deeds = [asyncio.ensure_future(deed()) for _ in range(8)]
    if dice.random() < 0.3:
        await it.until(dice.uniform(0, 10))
        await it.close()
    ends = await asyncio.gather(*calls)
    await asyncio.gather(*deeds)
    if calm:
        assert it.most_alive <= it.config.replicas
    assert all(worker.peak <= concurrency for worker in it.workers)
    # Whatever happened: in time only the one is left that nothing may stop.
    await asyncio.sleep(30.0)
    kept = it.replicas.units[0] if it.config.pinned else None
    for unit in it.replicas.units:
        assert unit is kept or unit.state.current is None
    await it.close()
    return ends


@pytest.mark.parametrize("first", range(0, SEEDS, 100))
def test_whatever_happens_each_call_ends_once_and_nothing_is_left(first: int) -> None:
    live_a_hundred(one_life, first, calls=40, outcomes=OUTCOMES)
