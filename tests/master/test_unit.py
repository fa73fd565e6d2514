"""The owner of a unit under a virtual clock: to the microsecond, what happens when."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from hsu_worker.errors import ResourceExhausted, StartError, Unavailable
from hsu_worker.master.policy import Restart, StartWanted
from tests.master.sim.fakes import FOR_EVER, WELL, House, Plan, virtual
from tests.until import until

SLOW = Plan(startup=100.0)
HANGS = Plan(startup=FOR_EVER)
BROKEN = Plan(startup=0.25, fails="it is broken")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Callers that come to a unit that is absent, and what becomes of them."""

    row: str
    calls: tuple[tuple[float, float, float | None, float | None], ...]
    """When each comes, how long its call takes, its deadline, and when it goes away."""
    ends: tuple[tuple[float, int | str], ...]
    """When each ended; and the generation that answered, or the error."""
    events: tuple[tuple[float, str], ...]
    until: float
    plans: tuple[Plan, ...] = (WELL,)
    config: dict[str, Any] = field(default_factory=dict)


def calls(count: int, length: float) -> tuple[tuple[float, float, None, None], ...]:
    return ((0.0, length, None, None),) * count


def life(*times: float) -> tuple[tuple[float, str], ...]:
    """Of one generation that comes, serves and idles."""
    return tuple(zip(times, ("starting", "ready", "stopping", "stopped"), strict=False))


SCENARIOS = (
    Scenario(
        row="T1: many first callers start one worker, within its limit",
        calls=calls(200, 0.1),
        ends=tuple((round(1.1 + 0.1 * (n // 50), 6), 1) for n in range(200)),
        events=life(0.0, 1.0, 11.4, 11.9),
        until=20.0,
        config={"idle": 10.0, "concurrency": 50},
    ),
    Scenario(
        row="T2: the first caller leaves during the start",
        calls=((0.0, 1.0, None, 0.5), *calls(3, 1.0)),
        ends=((0.5, "left"), (2.0, 1), (2.0, 1), (2.0, 1)),
        events=life(0.0, 1.0, 12.0, 12.5),
        until=20.0,
        config={"idle": 10.0},
    ),
    Scenario(
        row="T3: all callers leave during the start",
        calls=((0.0, 1.0, None, 0.5), (0.2, 1.0, None, 0.6)),
        ends=((0.5, "left"), (0.6, "left")),
        events=life(0.0, 1.0, 11.0, 11.5),
        until=20.0,
        config={"idle": 10.0},
    ),
    Scenario(
        row="T4: a deadline shorter than the start",
        calls=((0.0, 0.0, 0.3, None), (0.1, 0.5, None, None)),
        ends=((0.3, "DEADLINE_EXCEEDED no"), (1.5, 1)),
        events=life(0.0, 1.0),
        until=2.0,
    ),
    Scenario(
        row="T4: a deadline that is over already",
        calls=((0.0, 0.0, 0.0, None), (0.1, 0.5, 0.9, None)),
        ends=((0.0, "DEADLINE_EXCEEDED no"), (1.0, "DEADLINE_EXCEEDED no")),
        events=life(0.0, 1.0),
        until=2.0,
    ),
    Scenario(
        row="T4: the worker gets what is left of it",
        calls=((0.0, 5.0, 3.0, None),),
        ends=((3.0, "DEADLINE_EXCEEDED unknown"),),
        events=life(0.0, 1.0),
        until=4.0,
    ),
    Scenario(
        row="T5: a queue that is full",
        calls=calls(3, 0.5),
        ends=((1.5, 1), (1.5, 1), (0.0, "RESOURCE_EXHAUSTED no")),
        events=life(0.0, 1.0),
        until=2.0,
        config={"queue": 2},
    ),
    Scenario(
        row="T6: calls before, at and after the idle stop",
        calls=tuple((at, 0.0, None, None) for at in (0.0, 1.95, 2.95, 3.4, 5.5, 7.05)),
        ends=((1.0, 1), (1.95, 1), (4.45, 2), (4.45, 2), (6.95, 3), (7.05, 3)),
        events=(
            *life(0.0, 1.0, 2.95, 3.45),
            *life(3.45, 4.45, 5.45, 5.95),
            *life(5.95, 6.95, 8.05, 8.55),
        ),
        until=10.0,
        config={"idle": 1.0},
    ),
    Scenario(
        row="T7: two calls that overlap, the second longer than the idle time",
        calls=((0.0, 1.0, None, None), (1.5, 20.0, None, None)),
        ends=((2.0, 1), (21.5, 1)),
        events=life(0.0, 1.0, 24.5, 25.0),
        until=30.0,
        config={"idle": 3.0},
    ),
    Scenario(
        row="T8: a call longer than the idle time; Pings count for nothing",
        calls=((0.0, 600.0, None, None),),
        ends=((601.0, 1),),
        events=life(0.0, 1.0, 661.0, 661.5),
        until=700.0,
        config={"idle": 60.0},
    ),
    Scenario(
        row="T9: a start longer than the idle time",
        calls=calls(1, 1.0),
        ends=((101.0, 1),),
        events=life(0.0, 100.0, 103.0, 103.5),
        until=110.0,
        plans=(SLOW,),
        config={"idle": 2.0},
    ),
    Scenario(
        row="T11: a start that never ends bounds the wait of those without a deadline",
        calls=((0.0, 0.0, None, None), (5.0, 0.0, None, None)),
        ends=((40.0, "UNAVAILABLE no"), (45.0, "UNAVAILABLE no")),
        events=life(0.0),
        until=50.0,
        plans=(HANGS,),
        config={"start_timeout": 20.0},
    ),
    Scenario(
        row="T14: a start that fails is told at once, and tried by the next caller",
        calls=((0.0, 0.0, None, None), (5.0, 0.0, None, None)),
        ends=((0.25, "UNAVAILABLE no"), (6.0, 2)),
        events=((0.0, "starting"), (0.75, "failed"), (5.0, "starting"), (6.0, "ready")),
        until=7.0,
        plans=(BROKEN, WELL),
    ),
    Scenario(
        row="T16: a crash under calls, others wait",
        calls=calls(4, 3.0),
        ends=((3.0, "UNAVAILABLE unknown"),) * 2 + ((7.5, 2),) * 2,
        events=((0.0, "starting"), (1.0, "ready"), (3.5, "exited"), (3.5, "starting")),
        until=8.0,
        plans=(Plan(lives=2.0), WELL),
        config={"concurrency": 2},
    ),
)


async def take_part(
    it: House, at: float, length: float, timeout: float | None, leaves: float | None
) -> tuple[float, int | str]:
    call = asyncio.ensure_future(it.call(length, timeout, at=at))
    if leaves is not None:
        await it.until(leaves)
        call.cancel()
    try:
        return await call
    except asyncio.CancelledError:
        return it.now, "left"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each.row for each in SCENARIOS])
@virtual
async def test_a_scenario(scenario: Scenario) -> None:
    async with House(*scenario.plans, **scenario.config) as it:
        ends = await asyncio.gather(*(take_part(it, *call) for call in scenario.calls))
        await it.until(scenario.until)
        assert scenario.ends == tuple(ends)
        assert scenario.events == tuple(it.kinds[: len(scenario.events)])
        limit = scenario.config.get("concurrency", len(ends))
        assert all(worker.peak <= limit for worker in it.workers)
        assert 0 == it.unit.state.leases


@virtual
async def test_t4_who_came_too_late_takes_no_place_in_the_queue() -> None:
    async with House(queue=1) as it:
        assert (0.3, "DEADLINE_EXCEEDED no") == await it.call(timeout=0.3)
        assert () == it.unit.state.waiters
        assert (1.0, 1) == await it.call()


@virtual
async def test_t12_a_start_that_shows_progress_is_told() -> None:
    async with House(SLOW) as it:
        call = asyncio.ensure_future(it.call())
        await it.until(50.0)
        it.worker.on_progress(0.5, "half")
        assert (100.0, 1) == await call
        assert [(0.0, "starting"), (50.0, "progress"), (100.0, "ready")] == it.kinds


@virtual
async def test_t14_a_crash_loop_slows_down_opens_the_breaker_and_recovers() -> None:
    crashes = Plan(startup=0.0, lives=0.1, ending=0.0)
    async with House(*[crashes] * 6, WELL, restart=Restart.ALWAYS, breaker=5) as it:
        it.unit.tell(StartWanted("preload"))
        await until(lambda: it.unit.state.phase == "faulted")
        opened = it.now
        assert 5 == len(it.workers)
        # The first restart is at once; then the delay is anything below 0.5 s, 1 s, 2 s.
        pauses = [b - a - 0.1 for a, b in zip(it.starts, it.starts[1:], strict=False)]
        bounds = [0.0, 0.5, 1.0, 2.0]
        assert all(p <= most + 1e-6 for p, most in zip(pauses, bounds, strict=True)), pauses
        failed = await it.call(timeout=60)
        assert (opened, "UNAVAILABLE no") == failed
        # One try behind the breaker fails, and opens it again.
        await it.until(opened + 30.2)
        assert (6, "faulted") == (len(it.workers), it.unit.state.phase)
        await it.until(opened + 62.0)
        assert (7, "ready") == (len(it.workers), it.unit.state.phase)
        assert (it.now, 7) == await it.call()
        await asyncio.sleep(60.0)
        assert 0 == it.unit.state.trouble.streak


@pytest.mark.parametrize("at", [0.05, 0.1, 0.15, 0.3, 0.9, 2.5])
@virtual
async def test_t15_nothing_overrides_a_stop_in_a_crash_loop(at: float) -> None:
    crashes = Plan(startup=0.1, lives=0.1, ending=0.1)
    async with House(crashes, restart=Restart.ALWAYS, breaker=100) as it:
        it.unit.tell(StartWanted("preload"))
        await it.until(at)
        await it.unit.stop(hold=True)
        stopped = len(it.workers)
        assert all(worker.stopped for worker in it.workers)
        await asyncio.sleep(3600.0)
        assert (stopped, "held") == (len(it.workers), it.unit.state.phase)
        assert (it.now, "UNAVAILABLE no") == await it.call()
        assert stopped + 1 == await it.unit.start()


@virtual
async def test_t15_a_stop_refuses_those_who_wait_for_a_backoff() -> None:
    async with House(BROKEN, backoff=100.0, backoff_most=100.0, breaker=1000) as it:
        # The first delay is none, and a drawn one may be short.
        while it.unit.state.phase != "backoff":
            await it.call()
            await asyncio.sleep(1.0)
        call = asyncio.ensure_future(it.call())
        await asyncio.sleep(0)
        await it.unit.stop()
        assert (it.now, "UNAVAILABLE no") == await call
        assert "absent" == it.unit.state.phase


@virtual
async def test_t16_a_crash_loses_no_call_that_waits() -> None:
    async with House(concurrency=50) as it:
        all_calls = [asyncio.ensure_future(it.call(5.0)) for _ in range(70)]
        await it.until(2.0)
        assert (50, 20) == (it.worker.running, len(it.unit.state.waiters))
        it.worker.end()
        ends = await asyncio.gather(*all_calls)
        assert [(2.0, "UNAVAILABLE unknown")] * 50 == ends[:50]
        assert [(8.5, 2)] * 20 == ends[50:]
        crash = it.crashes[0]
        assert ("exit code 1", 1, 50) == (crash.text, crash.code, crash.calls)


@virtual
async def test_t16_calls_for_a_worker_that_leaves_are_made_again() -> None:
    async with House() as it:
        long = asyncio.ensure_future(it.call(5.0))
        await it.until(2.0)
        it.worker.leaving = True
        late = [asyncio.ensure_future(it.call()) for _ in range(3)]
        assert (6.0, 1) == await long
        assert [(7.5, 2)] * 3 == await asyncio.gather(*late)
        assert 0 == it.unit.state.trouble.streak


@virtual
async def test_t17_a_worker_that_hangs_is_killed_within_its_budget() -> None:
    async with House() as it:
        calls = [asyncio.ensure_future(it.call(5.0)) for _ in range(2)]
        await it.until(2.0)
        it.worker.stuck = True
        late = asyncio.ensure_future(it.call(5.0))
        await it.until(10.0)
        queued = asyncio.ensure_future(it.call())
        assert [(6.0, 1)] * 2 == await asyncio.gather(*calls)
        # Looks at 11 s and twice 1 s after a miss, each takes 5 s to time out.
        assert (28.0, "UNAVAILABLE unknown") == await late
        assert it.workers[0].forced
        assert (28.0, "UNAVAILABLE unknown") == await queued
        assert (29.5, 2) == await it.call()
        assert [(28.0, "unresponsive"), (28.5, "stopped")] == it.kinds[2:4]


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
@virtual
async def test_t39_the_clock_on_the_wall_means_nothing(
    jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_time = time.time
    async with House(BROKEN, WELL, idle=10.0) as it:
        assert (0.25, "UNAVAILABLE no") == await it.call()
        call = asyncio.ensure_future(it.call(5.0))
        late = asyncio.ensure_future(it.call(9.0, timeout=4.0))
        await it.until(1.0)
        monkeypatch.setattr(time, "time", lambda: true_time() + jump)
        assert (4.25, "DEADLINE_EXCEEDED unknown") == await late
        assert (6.75, 2) == await call
        await it.until(30.0)
        assert [(16.75, "stopping"), (17.25, "stopped")] == it.kinds[-2:]


@virtual
async def test_errors_of_one_cause_are_told_apart_by_their_callers() -> None:
    async with House(BROKEN) as it:
        leases = [it.unit.lease(None)(None) for _ in range(2)]
        errors = await asyncio.gather(
            *(lease.__aenter__() for lease in leases), return_exceptions=True
        )
        first, second = errors
        assert isinstance(first, StartError)
        assert isinstance(second, StartError)
        assert first is not second
        assert ("it is broken", "it is broken") == (first.message, second.message)


@virtual
async def test_who_may_not_wait_is_refused_until_the_unit_runs() -> None:
    async with House(queue=1) as it:
        never = it.unit.lease(None, start=False)
        with pytest.raises(Unavailable, match="is absent, and the call asked not to wait"):
            await never(None).__aenter__()
        call = asyncio.ensure_future(it.call())
        await asyncio.sleep(0.5)
        with pytest.raises(Unavailable, match="is starting, and the call asked not to wait"):
            await never(None).__aenter__()
        with pytest.raises(ResourceExhausted, match="1 callers wait for it already"):
            await it.unit.lease(None)(None).__aenter__()
        await call
        async with never(None) as connection:
            assert it.worker.connection == connection
