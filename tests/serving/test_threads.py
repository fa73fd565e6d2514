import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

import pytest

from hsu_worker import App, DeadlineExceeded, Limits, current_call
from hsu_worker.gen.hsu_core import Core, PingRequest
from hsu_worker.testing import running
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds
from tests.serving.kinds import AsyncKinds, SyncKinds
from tests.serving.served import served
from tests.until import until


async def test_leaving_sync_streams_early_loses_no_thread_and_closes_each_generator() -> None:
    threads = 2
    closed = threading.Semaphore(0)

    class Endless(SyncKinds):
        def server_stream(self, request: Ask) -> Iterator[Answer]:
            try:
                while True:
                    yield Answer()
            finally:
                closed.release()

    async with running(App(Endless(), limits=Limits(threads=threads))) as worker:
        client = worker.client(Kinds)
        for _ in range(threads * 3):
            async for _answer in client.server_stream(Ask()):
                break
        for _ in range(threads * 3):
            assert await asyncio.to_thread(closed.acquire, timeout=10)
        # All threads are there for the next calls.
        answers = await asyncio.gather(
            *[client.unary(Ask(text=str(i)), timeout=10) for i in range(threads * 3)]
        )

    assert [answer.text for answer in answers] == [str(i) for i in range(threads * 3)]


async def test_a_sync_handler_keeps_the_context_of_its_call() -> None:
    class Looking(SyncKinds):
        def unary(self, request: Ask) -> Answer:
            return Answer(text=current_call().id)

    async with served(Looking()) as server:
        answer = await server.client.unary(Ask(), metadata=[("hsu-call-id", "0123456789abcdef")])

    assert answer.text == "0123456789abcdef"


async def test_every_step_of_a_sync_generator_runs_under_one_context() -> None:
    steps: ContextVar[int] = ContextVar("steps", default=0)
    at_the_end: list[int] = []

    class Counting(SyncKinds):
        def server_stream(self, request: Ask) -> Iterator[Answer]:
            try:
                for _ in range(3):
                    steps.set(steps.get() + 1)
                    yield Answer(number=steps.get(), text=current_call().method.name)
            finally:
                at_the_end.append(steps.get())

    async with served(Counting()) as server:
        answers = [answer async for answer in server.client.server_stream(Ask())]

    assert [answer.number for answer in answers] == [1, 2, 3]
    assert {answer.text for answer in answers} == {"ServerStream"}
    assert at_the_end == [3]


async def test_further_sync_calls_wait_for_a_thread() -> None:
    running_now = 0
    peak = 0
    lock = threading.Lock()

    class Slow(SyncKinds):
        def unary(self, request: Ask) -> Answer:
            nonlocal running_now, peak
            with lock:
                running_now += 1
                peak = max(peak, running_now)
            threading.Event().wait(0.02)
            with lock:
                running_now -= 1
            return Answer()

    async with served(Slow(), limits=Limits(threads=2)) as server:
        await asyncio.gather(*[server.client.unary(Ask()) for _ in range(8)])

    assert peak == 2


async def test_a_call_that_waits_for_long_for_a_thread_is_told_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()

    class Stuck(SyncKinds):
        def unary(self, request: Ask) -> Answer:
            free.wait(60)
            return Answer()

    told = "a call has waited for 0.05 s for a thread, of which there are 1; these came first: "
    try:
        async with served(Stuck(), limits=Limits(threads=1)) as server:
            monkeypatch.setattr(server.dispatcher.slots, "_patience", 0.05)
            calls = [asyncio.create_task(server.client.unary(Ask())) for _ in range(3)]
            await until(lambda: told in caplog.text)
            free.set()
            await asyncio.gather(*calls)
    finally:
        free.set()

    [message] = [each for each in caplog.messages if "has waited" in each]
    assert re.fullmatch(
        re.escape(told) + r"hsu\.test\.v1\.Kinds/Unary \(call \w+, \d\.\d s\), 2 more; look for a "
        r"handler that does not end, or raise App\(limits=Limits\(threads=\.\.\.\)\)",
        message,
    )


async def test_a_sync_call_that_waits_for_a_thread_and_is_cancelled_never_runs() -> None:
    free, entered = threading.Event(), threading.Event()
    ran: list[str] = []

    class Slow(SyncKinds):
        def unary(self, request: Ask) -> Answer:
            ran.append(request.text)
            entered.set()
            free.wait(30)
            return Answer()

    async with served(Slow(), limits=Limits(threads=1)) as server:
        first = asyncio.create_task(server.client.unary(Ask(text="first")))
        await asyncio.to_thread(entered.wait, 10)
        with pytest.raises(Exception, match="DEADLINE_EXCEEDED"):
            await server.client.unary(Ask(text="second"), timeout=0.1)
        # The worker notices a moment after the caller.
        await until(lambda: server.dispatcher.calls.in_flight == 1)
        free.set()
        await first
        async with asyncio.timeout(10):
            await server.dispatcher.calls.ended()

    assert ran == ["first"]


async def test_nobody_waits_for_ever_for_a_thread_that_does_not_end() -> None:
    released = threading.Event()

    class Endless(SyncKinds):
        def unary(self, request: Ask) -> Answer:
            released.wait(60)
            return Answer()

    try:
        before = asyncio.all_tasks()
        async with running(Endless()) as worker:
            with pytest.raises(DeadlineExceeded):
                await worker.client(Kinds).unary(Ask(), timeout=0.1)
        # What is left of the call would keep asyncio.run from ending.
        await until(lambda: asyncio.all_tasks() <= before)
    finally:
        released.set()


async def test_further_async_calls_wait_for_a_slot() -> None:
    running_now = peak = 0

    class Slow(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            nonlocal running_now, peak
            running_now += 1
            peak = max(peak, running_now)
            await asyncio.sleep(0.01)
            running_now -= 1
            return Answer()

    async with served(Slow(), limits=Limits(concurrent_calls=3)) as server:
        await asyncio.gather(*[server.client.unary(Ask()) for _ in range(12)])

    assert peak == 3


@pytest.mark.parametrize("limits", [Limits(concurrent_calls=1), Limits(threads=1)])
async def test_ping_answers_busy_at_once_when_all_slots_are_taken(limits: Limits) -> None:
    sync = limits.threads == 1
    free, entered = threading.Event(), threading.Event()

    class SlowSync(SyncKinds):
        def unary(self, request: Ask) -> Answer:
            entered.set()
            free.wait(30)
            return Answer()

    class SlowAsync(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            entered.set()
            await asyncio.to_thread(free.wait, 30)
            return Answer()

    async with running(App(SlowSync() if sync else SlowAsync(), limits=limits)) as worker:
        core = worker.client(Core)
        idle = await core.ping(PingRequest(payload=b"echo"))
        call = asyncio.create_task(worker.client(Kinds).unary(Ask()))
        await asyncio.to_thread(entered.wait, 10)
        busy = await core.ping(PingRequest(), timeout=10)
        free.set()
        await call
        after = await core.ping(PingRequest())

    assert (idle.payload, idle.busy, idle.calls_in_flight) == (b"echo", False, 0)
    assert (busy.busy, busy.calls_in_flight) == (True, 1)
    assert busy.oldest_call_age.ToTimedelta().total_seconds() > 0
    assert (after.busy, after.calls_in_flight) == (False, 0)


async def test_a_plain_def_may_return_what_an_async_def_gave_it() -> None:
    class Wrapped(AsyncKinds):
        def unary(self, request: Ask) -> object:  # type: ignore[override]
            return AsyncKinds().unary(request)

        def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
            return AsyncKinds().server_stream(request)

    async with served(Wrapped()) as server:
        answer = await server.client.unary(Ask(text="a"))
        numbers = [a.number async for a in server.client.server_stream(Ask(number=2))]

    assert (answer.text, numbers) == ("a", [0, 1])


async def test_a_sync_handler_may_return_any_iterable() -> None:
    class Listing(SyncKinds):
        def server_stream(self, request: Ask) -> Iterator[Answer]:
            return iter([Answer(number=1), Answer(number=2)])

    async with served(Listing()) as server:
        numbers = [a.number async for a in server.client.server_stream(Ask())]

    assert numbers == [1, 2]
