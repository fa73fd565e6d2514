import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from hsu_worker import App, FailedPrecondition, lifespan, report_progress
from hsu_worker.gen.hsu_core import (
    STATE_DRAINING,
    STATE_FAILED,
    STATE_RUNNING,
    STATE_STARTING,
    STATE_STOPPED,
    STATE_STOPPING,
    StartResponse,
    State,
)
from hsu_worker.serving.calls import Calls
from hsu_worker.serving.server import STOP_GRACE
from hsu_worker.worker.last_resort import LAST_RESORT
from hsu_worker.worker.lifecycle import LEAVE_TIMEOUT, Lifecycle
from hsu_worker.worker.shutdown import FLUSH_TIMEOUT, UNWIND_TIMEOUT
from tests.serving.kinds import AsyncKinds
from tests.until import until


def lifecycle_of(*services: object) -> Lifecycle:
    return Lifecycle(App(*services), Calls())


async def start(lifecycle: Lifecycle) -> list[StartResponse]:
    return [step async for step in lifecycle.start()]


def states(steps: list[StartResponse]) -> list[State]:
    return [step.state for step in steps]


def fail(failure: BaseException) -> None:
    raise failure


class Gated(AsyncKinds):
    """Its lifespan waits for a gate, and notes what happens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.seen: list[str] = []

    @lifespan
    async def gated(self) -> AsyncIterator[None]:
        self.seen.append("entering")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        self.seen.append("entered")
        yield
        self.seen.append("left")


async def test_a_start_goes_from_starting_to_running() -> None:
    lifecycle = lifecycle_of(AsyncKinds())
    assert lifecycle.state == STATE_STOPPED

    assert states(await start(lifecycle)) == [STATE_STARTING, STATE_RUNNING]
    assert lifecycle.state == STATE_RUNNING


async def test_a_start_while_running_answers_at_once() -> None:
    lifecycle = lifecycle_of(AsyncKinds())
    await start(lifecycle)

    assert states(await start(lifecycle)) == [STATE_RUNNING]


async def test_a_second_start_joins_the_first() -> None:
    service = Gated()
    lifecycle = lifecycle_of(service)
    starts = [asyncio.create_task(start(lifecycle)) for _ in range(5)]
    await until(lambda: service.seen)
    service.gate.set()
    steps = await asyncio.gather(*starts)

    assert [states(each) for each in steps] == [[STATE_STARTING, STATE_RUNNING]] * 5
    assert service.seen == ["entering", "entered"]


async def test_whoever_leaves_a_start_does_not_stop_it() -> None:
    service = Gated()
    lifecycle = lifecycle_of(service)
    first = asyncio.create_task(start(lifecycle))
    second = asyncio.create_task(start(lifecycle))
    await until(lambda: service.seen)
    first.cancel()
    await asyncio.wait((first,))
    service.gate.set()

    assert (await second)[-1].state == STATE_RUNNING


async def test_progress_reaches_everybody_who_waits() -> None:
    told = threading.Semaphore(0)

    class Slow(AsyncKinds):
        @lifespan
        def loaded(self) -> Iterator[None]:
            for third in range(1, 4):
                report_progress(third / 3, f"part {third}")
                assert told.acquire(timeout=10)
                assert told.acquire(timeout=10)
            yield

    lifecycle = lifecycle_of(Slow())

    async def follow() -> list[tuple[float, str]]:
        seen = []
        async for step in lifecycle.start():
            seen.append((round(step.fraction, 2), step.text))
            if step.text:
                told.release()
        return seen

    seen = await asyncio.gather(follow(), follow())

    # The first message of the start may already hold the first report.
    assert [each[-4:] for each in seen] == [
        [(0.33, "part 1"), (0.67, "part 2"), (1.0, "part 3"), (1.0, "")]
    ] * 2


async def test_a_lifespan_that_raises_fails_the_start_with_its_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(AsyncKinds):
        @lifespan
        def loaded(self) -> Iterator[None]:
            fail(FileNotFoundError("no model at model.bin"))
            yield

    lifecycle = lifecycle_of(Failing())
    last = (await start(lifecycle))[-1]

    assert (last.state, last.reason) == (STATE_FAILED, "FileNotFoundError: no model at model.bin")
    assert (lifecycle.state, lifecycle.reason) == (STATE_FAILED, last.reason)
    assert "raise failure" in caplog.text


class Nameless(AsyncKinds):
    """Its lifespan says what UTF-8 can't hold, as the name of an odd file may be."""

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure
        self.told = asyncio.Event()

    @lifespan
    async def loaded(self) -> AsyncIterator[None]:
        report_progress(0.5, "reading \udcff")
        await self.told.wait()
        fail(self.failure)
        yield

    async def start(self) -> list[StartResponse]:
        """Start it; it fails once it was seen how far it is."""
        steps = []
        async with asyncio.timeout(10):
            async for step in lifecycle_of(self).start():
                steps.append(step)
                if step.text:
                    self.told.set()
        return steps


async def test_a_reason_that_is_no_text_fails_the_start_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # What pytest passes on has to be text.
    caplog.set_level("CRITICAL", logger="hsu_worker")
    steps = await Nameless(RuntimeError("no model at \udcff")).start()

    assert steps[-2].text == "reading ?"
    assert (steps[-1].state, steps[-1].reason) == (STATE_FAILED, "RuntimeError: no model at ?")


async def test_a_long_reason_is_cut_to_what_every_client_takes() -> None:
    last = (await Nameless(RuntimeError("x" * (5 << 20))).start())[-1]

    assert last.reason.startswith("RuntimeError: xxx")
    assert last.reason.endswith("x...")
    assert len(last.reason) < 3000


async def test_a_reason_comes_with_its_notes() -> None:
    failure = RuntimeError("the true reason")
    failure.add_note("and a note")
    last = (await Nameless(failure).start())[-1]

    assert last.reason == "RuntimeError: the true reason\nand a note"


async def test_a_traceback_begins_in_the_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    await Nameless(RuntimeError("no model")).start()

    [record] = [record for record in caplog.records if record.exc_info]
    assert record.exc_info is not None
    _, _, frames = record.exc_info
    assert frames is not None
    assert frames.tb_frame.f_code.co_name == "loaded"


async def test_a_failed_start_leaves_what_it_had_entered_and_can_be_tried_again() -> None:
    seen: list[str] = []

    class Flaky(AsyncKinds):
        @lifespan
        async def first(self) -> AsyncIterator[None]:
            seen.append("first entered")
            yield
            seen.append("first left")

        @lifespan
        async def second(self) -> AsyncIterator[None]:
            if len(seen) < 3:
                raise RuntimeError("not yet")
            seen.append("second entered")
            yield
            seen.append("second left")

    lifecycle = lifecycle_of(Flaky())
    results = [(await start(lifecycle))[-1].state for _ in range(3)]

    assert results == [STATE_FAILED, STATE_RUNNING, STATE_RUNNING]
    assert seen[0] == "first entered"
    assert seen[-2:] == ["first entered", "second entered"]
    assert lifecycle.reason == ""


@pytest.mark.parametrize("failure", [SystemExit(3), KeyboardInterrupt(), BaseException("x")])
async def test_whatever_a_lifespan_raises_ends_the_start_only(failure: BaseException) -> None:
    class Failing(AsyncKinds):
        @lifespan
        async def loaded(self) -> AsyncIterator[None]:
            fail(failure)
            yield

    last = (await start(lifecycle_of(Failing())))[-1]

    assert last.state == STATE_FAILED
    assert last.reason.startswith(type(failure).__qualname__)


async def test_stop_while_starting_cancels_the_start() -> None:
    service = Gated()
    lifecycle = lifecycle_of(service)
    starting = asyncio.create_task(start(lifecycle))
    await until(lambda: service.seen)
    state = await lifecycle.stop()
    last = (await starting)[-1]

    assert state == STATE_STOPPED
    assert (last.state, last.reason) == (STATE_FAILED, "stopped before it had started")
    assert service.seen == ["entering", "cancelled"]
    assert (lifecycle.state, lifecycle.reason) == (STATE_STOPPED, "")


async def test_stop_waits_for_calls_and_refuses_new_ones() -> None:
    calls = Calls()
    service = Gated()
    service.gate.set()
    lifecycle = Lifecycle(App(service), calls)
    await start(lifecycle)
    call: Any = type("call", (), {"started": 0.0})()
    calls.begin(call)
    stopping = asyncio.create_task(lifecycle.stop())
    await until(lambda: lifecycle.state == STATE_STOPPING)
    refusal = lifecycle.gate()
    assert service.seen == ["entering", "entered"]
    calls.end(call)

    assert await stopping == STATE_STOPPED
    assert service.seen == ["entering", "entered", "left"]
    assert refusal is not None
    assert refusal.message == "the worker is STOPPING, and answers calls in RUNNING only"


async def test_whoever_leaves_a_stop_does_not_undo_it() -> None:
    calls = Calls()
    lifecycle = Lifecycle(App(AsyncKinds()), calls)
    await start(lifecycle)
    call: Any = type("call", (), {"started": 0.0})()
    calls.begin(call)
    stopping = asyncio.create_task(lifecycle.stop())
    await until(lambda: lifecycle.state == STATE_STOPPING)
    stopping.cancel()
    await asyncio.wait((stopping,))
    calls.end(call)

    assert await lifecycle.stop() == STATE_STOPPED


async def test_a_start_while_stopping_waits_and_starts_again() -> None:
    service = Gated()
    service.gate.set()
    lifecycle = lifecycle_of(service)
    await start(lifecycle)
    stopping = asyncio.create_task(lifecycle.stop())
    # The stop begins in the loop's next turns, and the start comes while it goes on.
    while lifecycle.state == STATE_RUNNING:  # noqa: ASYNC110
        await asyncio.sleep(0)
    during = lifecycle.state
    steps = await start(lifecycle)

    assert (during, await stopping) == (STATE_STOPPING, STATE_STOPPED)
    assert steps[-1].state == STATE_RUNNING
    assert service.seen == ["entering", "entered", "left", "entering", "entered"]


async def test_stop_when_stopped_or_failed_answers_stopped() -> None:
    class Failing(AsyncKinds):
        @lifespan
        async def loaded(self) -> AsyncIterator[None]:
            fail(RuntimeError())
            yield

    lifecycle = lifecycle_of(Failing())
    states_ = [await lifecycle.stop()]
    await start(lifecycle)
    states_.append(await lifecycle.stop())

    assert states_ == [STATE_STOPPED, STATE_STOPPED]
    assert lifecycle.state == STATE_STOPPED


async def test_a_lifespan_that_raises_while_it_is_left_is_logged_and_the_stop_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clumsy(AsyncKinds):
        @lifespan
        async def loaded(self) -> AsyncIterator[None]:
            yield
            raise RuntimeError("could not close")

    lifecycle = lifecycle_of(Clumsy())
    await start(lifecycle)

    assert await lifecycle.stop() == STATE_STOPPED
    assert "could not close" in caplog.text
    assert (await start(lifecycle))[-1].state == STATE_RUNNING


async def test_a_lifespan_whose_own_task_fails_makes_the_worker_fail() -> None:
    failing = asyncio.Event()

    class Background(AsyncKinds):
        @lifespan
        async def pumping(self) -> AsyncIterator[None]:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.pump())
                yield

        async def pump(self) -> None:
            await failing.wait()
            raise ConnectionError("the database has gone")

    lifecycle = lifecycle_of(Background())
    await start(lifecycle)
    failing.set()
    async with asyncio.timeout(10):
        while lifecycle.state == STATE_RUNNING:
            await lifecycle.changed()

    assert lifecycle.state == STATE_FAILED
    assert lifecycle.reason.startswith("ExceptionGroup: unhandled errors in a TaskGroup")


async def test_lifespans_are_entered_and_left_in_one_task() -> None:
    tasks = []

    class Scoped(AsyncKinds):
        @lifespan
        async def scoped(self) -> AsyncIterator[None]:
            tasks.append(asyncio.current_task())
            async with asyncio.timeout(60):
                yield
            tasks.append(asyncio.current_task())

    lifecycle = lifecycle_of(Scoped())
    await start(lifecycle)
    await lifecycle.stop()

    assert tasks[0] is tasks[1]


async def test_draining_is_for_good() -> None:
    service = Gated()
    service.gate.set()
    lifecycle = lifecycle_of(service)
    await start(lifecycle)
    lifecycle.drain()

    with pytest.raises(FailedPrecondition, match="the worker is DRAINING, and starts nothing"):
        await start(lifecycle)
    assert await lifecycle.stop() == STATE_DRAINING
    await lifecycle.finish()
    assert service.seen == ["entering", "entered", "left"]
    assert lifecycle.state == STATE_DRAINING


async def test_draining_ends_a_start_that_is_being_made() -> None:
    service = Gated()
    lifecycle = lifecycle_of(service)
    starting = asyncio.create_task(start(lifecycle))
    await until(lambda: service.seen)
    lifecycle.drain()
    await lifecycle.finish()

    assert (await starting)[-1].state == STATE_FAILED
    assert service.seen == ["entering", "cancelled"]


async def test_leaving_has_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(AsyncKinds):
        @lifespan
        async def loaded(self) -> AsyncIterator[None]:
            yield
            await asyncio.Event().wait()

    lifecycle = lifecycle_of(Stuck())
    await start(lifecycle)
    lifecycle.drain()
    await lifecycle.finish(timeout=0.05)

    assert "the lifespans were not left within 0.05 s; the process ends anyway" in caplog.text


def test_all_that_may_hang_on_the_way_out_fits_into_the_contracts_ten_seconds() -> None:
    bounds = (UNWIND_TIMEOUT, LEAVE_TIMEOUT, FLUSH_TIMEOUT, FLUSH_TIMEOUT, STOP_GRACE)
    assert sum(bounds) < LAST_RESORT < 10


async def test_a_start_that_is_asked_for_during_a_stop_does_not_start_twice() -> None:
    service = Gated()
    service.gate.set()
    lifecycle = lifecycle_of(service)
    await start(lifecycle)
    results = await asyncio.gather(
        lifecycle.stop(), *[start(lifecycle) for _ in range(5)], return_exceptions=True
    )

    assert results[0] == STATE_STOPPED
    assert service.seen.count("entering") == 2
    assert lifecycle.state == STATE_RUNNING


async def test_a_lifespan_that_is_written_wrong_is_told_in_a_sentence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Wrong(AsyncKinds):
        @lifespan
        async def nothing(self) -> AsyncIterator[None]:
            for _ in ():
                yield

    await start(lifecycle_of(Wrong()))

    assert "nothing did not yield; each way through it acquires, yields once, rel" in caplog.text
    assert "Traceback" not in caplog.text
