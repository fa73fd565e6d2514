"""A unit with several workers at the same time, under a virtual clock."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from hsu_worker.errors import FailedPrecondition, ResourceExhausted, Unavailable
from hsu_worker.master.policy import Phase, Restart
from tests.master.sim.fakes import WELL, Plan, virtual
from tests.master.sim.row import Row


@virtual
async def test_four_callers_run_two_at_a_time() -> None:
    async with Row(idle=60.0) as it:
        ends = await asyncio.gather(*(it.call(1.0) for _ in range(4)))
        assert [(2.0, 1), (2.0, 2), (3.0, 1), (3.0, 2)] == ends
        assert [1, 1] == [worker.peak for worker in it.workers]
        assert [0.0, 0.0] == it.starts


@virtual
async def test_nothing_is_started_while_there_is_room() -> None:
    async with Row(replicas=3, concurrency=2, idle=60.0) as it:
        await it.call()
        calls = [asyncio.ensure_future(it.call(1.0)) for _ in range(2)]
        await asyncio.sleep(0.5)
        assert 1 == len(it.workers)
        # The third finds none.
        calls.append(asyncio.ensure_future(it.call(1.0)))
        await asyncio.sleep(0.25)
        assert 2 == len(it.workers)
        # And is served by the first, which has room before the second has come.
        assert [(2.0, 1), (2.0, 1), (3.0, 1)] == await asyncio.gather(*calls)
        assert 2 == len(it.workers)
        assert "; the workers that run are full" in it.replicas.history.events[2].detail


@virtual
async def test_each_call_goes_to_the_worker_that_has_the_fewest() -> None:
    async with Row(replicas=2, concurrency=4, idle=60.0) as it:
        calls = [asyncio.ensure_future(it.call(9.0)) for _ in range(5)]
        await it.until(2.0)
        assert {1: 3, 2: 2} == {worker.generation: worker.running for worker in it.workers}
        calls.append(asyncio.ensure_future(it.call(9.0)))
        await asyncio.sleep(0.1)
        assert [3, 3] == [worker.running for worker in it.workers]
        await asyncio.gather(*calls)


@pytest.mark.parametrize("more", [{"pinned": True}, {"idle": float("inf")}, {}])
@virtual
async def test_a_further_worker_is_stopped_when_it_had_nothing_to_do(
    more: dict[str, Any],
) -> None:
    async with Row(**{"idle": 60.0, "scale_down": 5.0, **more}) as it:
        await asyncio.gather(it.call(1.0), it.call(1.0))
        await it.until(6.9)
        assert 2 == len(it.alive)
        await it.until(7.6)
        assert [Phase.READY, Phase.ABSENT] == it.phases
        # One call at a time keeps nobody but the first.
        for _ in range(10):
            await it.call(0.5)
            await asyncio.sleep(1.0)
        assert 2 == len(it.workers)


@virtual
async def test_without_scale_down_it_is_idle_that_holds_for_each() -> None:
    async with Row(idle=5.0) as it:
        await asyncio.gather(it.call(1.0), it.call(3.0))
        await it.until(7.6)
        assert [Phase.ABSENT, Phase.READY] == it.phases
        await it.until(9.6)
        assert [] == it.alive


@virtual
async def test_a_crash_of_one_loses_no_call_that_waits() -> None:
    async with Row(idle=60.0) as it:
        await asyncio.gather(it.call(), it.call())
        calls = [asyncio.ensure_future(it.call(1.0)) for _ in range(6)]
        await it.until(1.5)
        it.workers[0].end()
        ends = [end for _, end in await asyncio.gather(*calls)]
        assert "UNAVAILABLE unknown" == ends[0]
        assert all(isinstance(end, int) for end in ends[1:])


@virtual
async def test_a_start_that_fails_is_told_to_all_who_wait_unless_another_one_serves() -> None:
    broken = Plan(fails="it is broken")
    async with Row(broken, broken, WELL, broken, WELL, idle=60.0, backoff=0.0) as it:
        ends = await asyncio.gather(*(it.call(1.0) for _ in range(4)))
        assert [(1.0, "UNAVAILABLE no")] * 4 == ends
        assert 2 == len(it.workers)
        calls = [asyncio.ensure_future(it.call(5.0)) for _ in range(2)]
        # One fails while the other serves, and nobody is told: its caller waits for that, or the next.
        assert {3, 5} == {end for _, end in await asyncio.gather(*calls)}


@virtual
async def test_what_is_held_starts_nothing_and_a_start_ends_it() -> None:
    async with Row(idle=60.0) as it:
        await asyncio.gather(it.call(), it.call())
        long = [asyncio.ensure_future(it.call(3.0)) for _ in range(2)]
        late = asyncio.ensure_future(it.call())
        await it.until(2.0)
        stop = asyncio.ensure_future(it.replicas.stop(hold=True))
        await asyncio.sleep(0)
        assert (2.0, "UNAVAILABLE no") == await late
        assert [(4.0, 1), (4.0, 2)] == await asyncio.gather(*long)
        await stop
        could_serve = [it.replicas.could_serve]
        with pytest.raises(Unavailable, match="unit 'u' is held: somebody stopped it"):
            async with it.replicas.lease(None)(None):
                pass
        assert 3 == await it.replicas.start()
        could_serve.append(it.replicas.could_serve)
        assert [False, True] == could_serve
        assert (it.now, 3) == await it.call()


@virtual
async def test_a_stop_ends_all_and_who_waits_has_them_started_again() -> None:
    async with Row(idle=60.0) as it:
        calls = [asyncio.ensure_future(it.call(3.0)) for _ in range(4)]
        await it.until(2.0)
        await it.replicas.stop()
        assert 2 == sum(worker.stopped for worker in it.workers)
        assert [1, 2, 3, 4] == sorted(end for _, end in await asyncio.gather(*calls))


@virtual
async def test_a_stop_during_a_crash_loop_is_the_end_of_it() -> None:
    """The same as for one worker: who waits for the next try is told, and nothing is started."""
    async with Row(
        Plan(lives=1.5), Plan(fails="it is broken"), backoff=1e6, backoff_most=1e6
    ) as it:
        await it.call()
        await it.until(3.0)
        assert "UNAVAILABLE no" == (await it.call())[1]
        # There is a delay now, of days.
        await asyncio.sleep(1.0)
        assert Phase.BACKOFF == it.phases[0]
        call = asyncio.ensure_future(it.call())
        await asyncio.sleep(1.0)
        await it.replicas.stop()
        assert (it.now, "UNAVAILABLE no") == await call
        made = len(it.workers)
        await it.until(60_000.0)
        assert made == len(it.workers)


@virtual
async def test_a_restart_is_one_of_all_and_who_comes_meanwhile_waits() -> None:
    async with Row(idle=60.0) as it:
        await asyncio.gather(it.call(), it.call())
        long = asyncio.ensure_future(it.call(2.0))
        await asyncio.sleep(0.5)
        restart = asyncio.ensure_future(it.replicas.restart())
        await asyncio.sleep(0)
        late = asyncio.ensure_future(it.call())
        await long
        assert await restart in (3, 4)
        assert isinstance((await late)[1], int)
        assert all(worker.stopped for worker in it.workers[:2])


@virtual
async def test_swaps_of_all_under_load_lose_no_call() -> None:
    async with Row(Plan(startup=0.05, ending=0.02), idle=60.0, concurrency=2) as it:
        stop = asyncio.Event()
        ends: list[int | str] = []

        async def caller(length: float) -> None:
            while not stop.is_set() and all(isinstance(end, int) for end in ends[-1:]):
                ends.append((await it.call(length))[1])

        callers = [asyncio.ensure_future(caller(0.01 + n / 100)) for n in range(8)]
        await it.call()
        for _ in range(50):
            before = len(it.workers)
            await it.replicas.swap(it.config)
            assert all(worker.stopped for worker in it.workers[:before])
            assert len(it.alive) <= 3
        stop.set()
        await asyncio.gather(*callers)
        assert [] == [end for end in ends if not isinstance(end, int)]
        assert len(ends) > 500
        # Two that serve, and one beside them.
        assert 3 == it.most_alive


@virtual
async def test_a_swap_that_fails_tells_how_many_were_swapped() -> None:
    broken = Plan(fails="it is broken")
    async with Row(WELL, WELL, broken, WELL, broken, WELL, idle=60.0) as it:
        await asyncio.gather(it.call(), it.call())
        with pytest.raises(
            FailedPrecondition, match=r"the swap failed, and nothing has changed: it is broken$"
        ):
            await it.replicas.swap(it.config)
        with pytest.raises(FailedPrecondition) as caught:
            await it.replicas.swap(it.config)
        assert caught.value.message.startswith(
            "unit 'u': 1 of 2 replicas were swapped, then one was not: the swap failed"
        )
        assert {4, 2} == {end for _, end in await asyncio.gather(it.call(1.0), it.call(1.0))}


@virtual
async def test_a_second_swap_is_refused_and_one_without_a_worker_follows_the_first() -> None:
    async with Row(idle=60.0) as it:
        await it.call()
        other = replace(it.config, app="m:B")
        swap = asyncio.ensure_future(it.replicas.swap(other))
        await asyncio.sleep(0)
        with pytest.raises(FailedPrecondition, match="a swap is under way; try again"):
            await it.replicas.swap(other)
        await swap
        await asyncio.gather(it.call(1.0), it.call(1.0))
        assert ["m:A", "m:B", "m:B"] == [worker.unit.app for worker in it.workers]


@virtual
async def test_a_full_queue_and_a_caller_that_waits_for_nothing() -> None:
    async with Row(idle=60.0, queue=1) as it:
        with pytest.raises(Unavailable, match="is absent, and the call asked not to wait"):
            async with it.replicas.lease(None, start=False)(None):
                pass
        calls = [asyncio.ensure_future(it.call(5.0))]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted, match="1 callers wait for it already"):
            async with it.replicas.lease(None)(None):
                pass
        await it.until(1.5)
        # There is one that serves: who starts nothing may wait for it, and starts nothing.
        async with it.replicas.lease(None, start=False)(None):
            assert it.now == 6.0
        assert 1 == len(it.workers)
        await asyncio.gather(*calls)


@virtual
async def test_a_call_that_may_wait_for_itself_has_another_one_started_or_is_refused() -> None:
    async with Row(idle=60.0) as it:
        lease = it.replicas.lease(None, chain="u")
        async with it.replicas.lease(None)(None), lease(None):
            with pytest.raises(
                FailedPrecondition, match="no room for a call that it may be waiting"
            ):
                async with lease(None):
                    pass


@virtual
async def test_who_is_late_is_told_and_who_leaves_takes_no_room() -> None:
    async with Row(idle=60.0) as it:
        assert (0.5, "DEADLINE_EXCEEDED no") == await it.call(timeout=0.5)
        calls = [asyncio.ensure_future(it.call(2.0)) for _ in range(3)]
        await it.until(1.5)
        calls[2].cancel()
        assert [(3.0, 1), (3.5, 2)] == await asyncio.gather(*calls[:2])
        assert (3.5, 1) == await it.call()
        await asyncio.wait(calls)


@virtual
async def test_other_numbers_hold_at_once() -> None:
    async with Row(replicas=1, concurrency=1, idle=60.0) as it:
        calls = [asyncio.ensure_future(it.call(4.0)) for _ in range(4)]
        await it.until(1.5)
        assert 1 == len(it.alive)
        it.change(replicas=3)
        await it.until(3.0)
        assert 3 == len(it.alive)
        it.change(replicas=1)
        # The calls of those that go may end.
        assert [1, 1, 2, 3] == sorted(end for _, end in await asyncio.gather(*calls))
        await asyncio.sleep(1.0)
        assert 1 == len(it.alive)


def _apps(it: Row) -> list[str | None]:
    return [worker.unit.app for worker in it.workers]


@virtual
async def test_a_reload_replaces_one_after_the_other_and_each_serves_until_then() -> None:
    async with Row(replicas=3, idle=60.0) as it:
        await asyncio.gather(it.call(), it.call(), it.call())
        it.change(relaunch=True, app="m:B")
        while len(it.workers) < 6 or len(it.alive) > 3:
            assert [Phase.READY] * 3 == it.phases
            await asyncio.sleep(0.1)
        assert (["m:A"] * 3 + ["m:B"] * 3, 4) == (_apps(it), it.most_alive)
        assert [(1.0 + 1.5 * n) for n in range(3)] == it.starts[3:]


@virtual
async def test_a_reload_that_fails_is_tried_once_for_each_and_all_serve_on() -> None:
    async with Row(WELL, WELL, Plan(fails="it is broken"), idle=60.0) as it:
        await asyncio.gather(it.call(), it.call())
        it.change(relaunch=True, app="m:B")
        await it.until(20.0)
        assert (["m:A", "m:A", "m:B", "m:B"], 3) == (_apps(it), it.most_alive)
        assert {1, 2} == {end for _, end in await asyncio.gather(it.call(1.0), it.call(1.0))}


@virtual
async def test_what_a_reload_has_not_reached_yet_follows_the_next_one() -> None:
    async with Row(replicas=3, idle=60.0) as it:
        await asyncio.gather(it.call(), it.call(), it.call())
        it.change(relaunch=True, app="m:B")
        await it.until(1.5)
        with pytest.raises(FailedPrecondition, match="a swap is under way; try again"):
            await it.replicas.swap(it.config)
        it.change(relaunch=True, app="m:C")
        # What needs no process doesn't wait.
        it.change(concurrency=2)
        assert [2, 2, 2] == [unit.state.rules.concurrency for unit in it.replicas.units]
        await it.until(20.0)
        assert ["m:A"] * 3 + ["m:B"] + ["m:C"] * 3 == _apps(it)
        assert 3 == len(it.alive)


@virtual
async def test_one_without_a_worker_is_launched_as_the_file_says_at_once() -> None:
    async with Row(WELL, WELL, Plan(startup=30.0), WELL, idle=60.0, replicas=3) as it:
        await asyncio.gather(it.call(), it.call())
        it.change(relaunch=True, app="m:B")
        calls = [asyncio.ensure_future(it.call(2.0)) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert ["m:A", "m:A", "m:B", "m:B"] == _apps(it)
        assert {1, 2, 4} == {end for _, end in await asyncio.gather(*calls)}
        assert ["m:A", "m:A", "m:B", "m:B"] == _apps(it)


@virtual
async def test_log_and_history_are_one_with_numbers_over_all() -> None:
    async with Row(idle=60.0) as it:
        await asyncio.gather(it.call(), it.call())
        it.workers[1].end()
        await asyncio.sleep(5.0)
        await asyncio.gather(it.call(1.0), it.call(1.0))
        assert [1, 2, 3] == [worker.generation for worker in it.workers]
        ready = [event for event in it.replicas.history.events if event.kind == "ready"]
        assert [1, 2, 3] == [event.generation for event in ready]
        assert all(worker.log is it.replicas.log for worker in it.workers)


@virtual
async def test_a_warm_one_is_woken_before_another_one_is_started() -> None:
    async with Row(replicas=3, idle=2.0, warm=60.0) as it:
        await asyncio.gather(it.call(1.0), it.call(1.0))
        await it.until(10.0)
        assert [Phase.WARM, Phase.WARM, Phase.ABSENT] == it.phases
        assert {1, 2} == {end for _, end in await asyncio.gather(it.call(1.0), it.call(1.0))}
        assert 2 == len(it.workers)


@virtual
async def test_after_a_failure_only_the_one_that_failed_is_tried_until_it_serves() -> None:
    async with Row(Plan(lives=2.0), WELL, replicas=3, idle=60.0) as it:
        await it.call()
        await it.until(4.0)
        calls = [asyncio.ensure_future(it.call(9.0)) for _ in range(3)]
        await it.until(4.5)
        assert [0.0, 4.0] == it.starts
        await it.until(5.5)
        assert [0.0, 4.0, 5.0, 5.0] == it.starts
        await asyncio.gather(*calls)


@virtual
async def test_who_waits_for_what_is_never_started_again_is_told() -> None:
    async with Row(Plan(lives=6.0), Plan(lives=6.0), restart=Restart.NEVER) as it:
        running = [asyncio.ensure_future(it.call(60.0)) for _ in range(2)]
        await it.until(2.0)
        late = asyncio.ensure_future(it.call())
        assert [(7.0, "UNAVAILABLE unknown")] * 2 == await asyncio.gather(*running)
        assert (7.5, "UNAVAILABLE no") == await late
        with pytest.raises(
            Unavailable, match='it failed, and has restart = "never"; start it with'
        ):
            async with it.replicas.lease(None)(None):
                pass
        await it.replicas.start()
        ends = await asyncio.gather(it.call(1.0), it.call(1.0))
        assert {3, 4} == {end for _, end in ends}
