import asyncio
import random
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import pytest

from hsu_worker import Cancelled, DeadlineExceeded, Requests, current_call
from hsu_worker.testing import running
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds
from tests.serving.kinds import AsyncKinds, SyncKinds
from tests.serving.served import ServedKinds, served


async def never_ending() -> AsyncGenerator[Ask, None]:
    yield Ask(text="first")
    await asyncio.Event().wait()


async def none_in_flight(server: ServedKinds) -> None:
    async with asyncio.timeout(10):
        await server.dispatcher.calls.ended()


async def test_a_caller_who_leaves_cancels_an_async_handler() -> None:
    entered, cancelled = asyncio.Event(), asyncio.Event()

    class Waiting(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                assert current_call().cancelled
                cancelled.set()
                raise
            return Answer()

    async with served(Waiting()) as server:
        call = asyncio.create_task(server.client.unary(Ask()))
        await entered.wait()
        call.cancel()
        async with asyncio.timeout(10):
            await cancelled.wait()
        await none_in_flight(server)


async def test_a_deadline_cancels_an_async_handler() -> None:
    cancelled = asyncio.Event()

    class Waiting(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return Answer()

    async with served(Waiting()) as server:
        with pytest.raises(DeadlineExceeded):
            await server.client.unary(Ask(), timeout=0.1)
        async with asyncio.timeout(10):
            await cancelled.wait()


async def test_leaving_a_stream_early_closes_an_async_generator() -> None:
    closed = asyncio.Event()

    class Counting(AsyncKinds):
        async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
            try:
                number = 0
                while True:
                    yield Answer(number=number)
                    number += 1
            finally:
                closed.set()

    async with served(Counting()) as server:
        async for answer in server.client.server_stream(Ask()):
            if answer.number == 3:
                break
        async with asyncio.timeout(10):
            await closed.wait()
        await none_in_flight(server)


@pytest.mark.parametrize("how", ["leaves", "deadline"])
async def test_a_sync_handler_sees_that_nobody_waits(how: str) -> None:
    loop = asyncio.get_running_loop()
    entered, left = asyncio.Event(), asyncio.Event()

    class Polling(SyncKinds):
        def unary(self, request: Ask) -> Answer:
            loop.call_soon_threadsafe(entered.set)
            pause = threading.Event()
            while not current_call().cancelled:
                pause.wait(0.01)
            loop.call_soon_threadsafe(left.set)
            return Answer()

    async with served(Polling()) as server:
        timeout = 0.2 if how == "deadline" else None
        call = asyncio.create_task(server.client.unary(Ask(), timeout=timeout))
        await entered.wait()
        assert not left.is_set()
        if how == "leaves":
            call.cancel()
        async with asyncio.timeout(10):
            await left.wait()
        with pytest.raises((asyncio.CancelledError, DeadlineExceeded)):
            await call
        await none_in_flight(server)


async def test_a_sync_handler_that_waits_for_requests_is_unblocked_when_the_caller_leaves() -> None:
    raised: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    class Reading(SyncKinds):
        def client_stream(self, requests: Requests[Ask]) -> Answer:
            try:
                for _ in requests:
                    pass
            except BaseException as error:
                raised.get_loop().call_soon_threadsafe(raised.set_result, error)
                raise
            return Answer()

    async with served(Reading()) as server:
        with pytest.raises(DeadlineExceeded):
            await server.client.client_stream(never_ending(), timeout=0.2)
        async with asyncio.timeout(10):
            error = await raised
        await none_in_flight(server)

    assert isinstance(error, Cancelled)
    assert error.message == "the caller has gone"


async def test_a_sync_generator_that_waits_for_requests_is_unblocked_when_the_caller_leaves() -> (
    None
):
    async with served(SyncKinds()) as server:
        async for answer in server.client.bidi(never_ending()):
            assert answer.text == "first"
            break
        await none_in_flight(server)


@pytest.mark.parametrize("sync", [False, True])
async def test_a_request_stream_that_breaks_never_looks_like_its_end(sync: bool) -> None:
    """grpc.aio tells a handler of a cancelled call that its requests have ended."""
    # A seed, so that a failure comes again.
    pause = random.Random(7)
    committed: list[int] = []
    seen: list[int] = []

    class Committing(AsyncKinds):
        async def client_stream(self, requests: Requests[Ask]) -> Answer:
            async for request in requests:
                seen.append(request.number)
            # Nothing is awaited between the end and the commit.
            committed.append(request.number)
            return Answer()

        async def bidi(self, requests: Requests[Ask]) -> AsyncIterator[Answer]:
            async for request in requests:
                seen.append(request.number)
                yield Answer()
            committed.append(request.number)

    class SyncCommitting(SyncKinds):
        def client_stream(self, requests: Requests[Ask]) -> Answer:
            for request in requests:
                seen.append(request.number)
            committed.append(request.number)
            return Answer()

        def bidi(self, requests: Requests[Ask]) -> Iterator[Answer]:
            for request in requests:
                seen.append(request.number)
                yield Answer()
            committed.append(request.number)

    async def broken(number: int) -> AsyncGenerator[Ask, None]:
        yield Ask(number=number)
        await asyncio.Event().wait()

    async with served(SyncCommitting() if sync else Committing()) as server:

        async def leave(number: int, within: float) -> None:
            if number % 2:
                call = asyncio.create_task(server.client.client_stream(broken(number)))
                await asyncio.sleep(pause.random() * within)
                call.cancel()
            else:
                with pytest.raises(DeadlineExceeded):
                    async for _ in server.client.bidi(
                        broken(number), timeout=pause.random() * within + 0.001
                    ):
                        pass

        within = 0.02
        for round_ in range(10):
            await asyncio.gather(*[leave(round_ * 20 + i, within) for i in range(20)])
            if not seen:
                within *= 2  # a busy machine gets there later
        await none_in_flight(server)
        assert seen
        assert committed == []
        await server.client.client_stream([Ask(number=1000)])
        [_ async for _ in server.client.bidi([Ask(number=1001)])]

    assert committed == [1000, 1001]


async def test_a_task_of_the_handler_never_takes_a_broken_stream_for_its_end() -> None:
    ended: list[int] = []

    class Split(AsyncKinds):
        async def bidi(self, requests: Requests[Ask]) -> AsyncIterator[Answer]:
            async def read() -> None:
                async for _ in requests:
                    pass
                ended.append(1)

            reader = asyncio.create_task(read())
            yield Answer()
            await asyncio.wait((reader,))

    async with served(Split()) as server:
        for _ in range(50):
            with pytest.raises(DeadlineExceeded):
                async for _answer in server.client.bidi(never_ending(), timeout=0.01):
                    pass
        await none_in_flight(server)

    assert ended == []


async def test_iterating_requests_with_for_on_the_loop_says_what_to_write(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Wrong(AsyncKinds):
        async def client_stream(self, requests: Requests[Ask]) -> Answer:
            return Answer(number=len(list(requests)))

    async with running(Wrong()) as worker:
        with pytest.raises(Exception, match="internal error"):
            await worker.client(Kinds).client_stream([Ask()])

    assert (
        "RuntimeError: iterating the requests of /hsu.test.v1.Kinds/ClientStream would block the "
        "event loop; write `async for` instead of `for`, or make the handler a plain `def`"
    ) in caplog.text


async def test_a_cancelled_call_that_its_handler_outlives_is_overdue() -> None:
    goes_on, entered = threading.Event(), threading.Event()

    class Stubborn(SyncKinds):
        def unary(self, request: Ask) -> Answer:
            entered.set()
            goes_on.wait(30)
            return Answer()

    async with served(Stubborn()) as server:
        calls = server.dispatcher.calls
        with pytest.raises(DeadlineExceeded):
            await server.client.unary(Ask(), timeout=0.1)
        await asyncio.to_thread(entered.wait, 10)

        # The caller has gone, and still its thread is taken.
        assert calls.in_flight == 1
        await asyncio.sleep(0.05)
        assert 0 < calls.most_overdue() < calls.oldest_age() < 10
        goes_on.set()
        await none_in_flight(server)
        assert (calls.most_overdue(), calls.oldest_age(), calls.total) == (0, 0, 1)


async def test_calls_that_are_cut_off_end_unavailable_after_they_were_dispatched() -> None:
    entered, finished = asyncio.Event(), asyncio.Event()

    class Waiting(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                finished.set()
            return Answer()

        async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
            yield Answer()
            await asyncio.Event().wait()

    async with served(Waiting()) as server:
        call = asyncio.create_task(server.client.unary(Ask()))
        stream = server.client.server_stream(Ask())
        await anext(stream)
        await entered.wait()
        assert server.dispatcher.calls.cut_off("time is up") == 2
        with pytest.raises(Exception, match="UNAVAILABLE: time is up") as raised:
            await call
        with pytest.raises(Exception, match="UNAVAILABLE: time is up"):
            await anext(stream)
        assert finished.is_set()

    assert str(getattr(raised.value, "dispatched", "")) == "yes"


async def test_a_stream_that_is_cut_off_while_it_writes_its_first_answer_ends() -> None:
    """grpc.aio can't send a status after that write was interrupted."""

    class Opening(AsyncKinds):
        async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
            asyncio.get_running_loop().call_soon(server.dispatcher.calls.cut_off, "time is up")
            yield Answer(text="first")
            await asyncio.Event().wait()

    async with served(Opening()) as server:
        stream = server.client.server_stream(Ask())
        assert (await anext(stream)).text == "first"
        with pytest.raises(Exception, match="UNAVAILABLE: time is up"):
            await anext(stream)
        await none_in_flight(server)


async def test_a_caller_who_leaves_while_an_answer_waits_for_him_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Fat(AsyncKinds):
        async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
            while True:
                yield Answer(payload=bytes(1 << 20))

    async with served(Fat()) as server:
        for _ in range(5):
            stream = server.client.server_stream(Ask())
            await anext(stream)
            # Flow control stops the handler within a write.
            await asyncio.sleep(0.05)
            await stream.aclose()
        await none_in_flight(server)

    assert [] == caplog.records
