"""Services call other interfaces, and know no address."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc.aio
import pytest

from hsu_worker import (
    App,
    Cancelled,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    Limits,
    Requests,
    Unimplemented,
    blocking_client_of,
    client_of,
    current_call,
    implements,
    lifespan,
)
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk
from hsu_worker.testing import BlockingWorker, running
from tests.gen.hsu_test_kinds import Answer, Ask, BlockingKindsClient, Kinds, KindsClient
from tests.serving.kinds import AsyncKinds, SyncKinds

ASK = SummarizeRequest(text="hello")


@implements(InterfaceA)
class Front:
    """Calls Kinds, as `do` says, while it handles a call."""

    kinds = client_of(Kinds)

    def __init__(self, do: Callable[[KindsClient, str], Any] | None = None) -> None:
        self.do = do

    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        if self.do is not None:
            return SummarizeResponse(summary=str(await self.do(self.kinds, request.text)))
        answer = await self.kinds.unary(Ask(text=request.text))
        return SummarizeResponse(summary=answer.text)

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        async for answer in self.kinds.server_stream(Ask(text=request.text, number=2)):
            yield SummaryChunk(text=answer.text)


@implements(InterfaceA)
class SyncFront:
    """The same in threads."""

    kinds = blocking_client_of(Kinds)

    def __init__(self, do: Callable[[BlockingKindsClient, str], Any] | None = None) -> None:
        self.do = do

    def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        if self.do is not None:
            return SummarizeResponse(summary=str(self.do(self.kinds, request.text)))
        return SummarizeResponse(summary=self.kinds.unary(Ask(text=request.text)).text)

    def stream_summary(self, request: SummarizeRequest) -> Iterator[SummaryChunk]:
        for answer in self.kinds.server_stream(Ask(text=request.text, number=2)):
            yield SummaryChunk(text=answer.text)


FRONTS = pytest.mark.parametrize("front", [Front, SyncFront])


class Noting(AsyncKinds):
    """Tells of each call what it was told."""

    async def unary(self, request: Ask) -> Answer:
        call = current_call()
        names = ("traceparent", "tracestate", "hsu-call-chain")
        told = [str(call.metadata.get(name)) for name in names]
        left = "-" if call.time_remaining is None else f"{call.time_remaining:.0f}"
        return Answer(text="|".join([call.id, left, *told]))


@FRONTS
async def test_a_handler_calls_another_service(front: type[Front | SyncFront]) -> None:
    async with running(front(), others=[AsyncKinds()]) as worker:
        client = worker.client(InterfaceA)
        assert "hello" == (await client.summarize(ASK)).summary
        assert ["hello"] * 2 == [chunk.text async for chunk in client.stream_summary(ASK)]


def test_a_handler_that_is_called_by_a_test_gets_what_the_test_puts_there() -> None:
    class Fake:
        def unary(self, request: Ask) -> Answer:
            return Answer(text="faked")

    front: Any = SyncFront()
    front.kinds = Fake()
    assert "faked" == front.summarize(ASK).summary


async def test_all_four_kinds_can_be_called_from_a_thread() -> None:
    def do(kinds: BlockingKindsClient, text: str) -> str:
        one = kinds.unary(Ask(text=text)).text
        many = kinds.client_stream(Ask(text=each) for each in "ab").text
        several = [answer.number for answer in kinds.server_stream(Ask(number=2))]
        both = [answer.text for answer in kinds.bidi([Ask(text="x"), Ask(text="y")])]
        return f"{one} {many} {several} {both}"

    async with running(SyncFront(do), others=[SyncKinds()]) as worker:
        reply = await worker.client(InterfaceA).summarize(ASK)
    assert "hello a b [0, 1] ['x', 'y']" == reply.summary


@FRONTS
async def test_deadline_id_and_trace_are_passed_on(front: type[Any]) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sent = [("traceparent", trace), ("tracestate", "a=b"), ("hsu-call-id", "0123abcd")]
    async with running(App(front(), name="front"), others=[Noting()]) as worker:
        client = worker.client(InterfaceA)
        limited = await client.summarize(ASK, timeout=50, metadata=sent)
        unlimited = await client.summarize(ASK)

    assert f"0123abcd|50|{trace}|a=b|front" == limited.summary
    assert ["-", "None", "None", "front"] == unlimited.summary.split("|")[1:]


async def test_an_own_timeout_can_only_shorten_the_time() -> None:
    async def do(kinds: KindsClient, text: str) -> str:
        return (await kinds.unary(Ask(), timeout=float(text))).text.split("|")[1]

    async with running(Front(do), others=[Noting()]) as worker:
        client = worker.client(InterfaceA)
        longer = await client.summarize(SummarizeRequest(text="1000"), timeout=50)
        shorter = await client.summarize(SummarizeRequest(text="20"), timeout=50)

    assert ("50", "20") == (longer.summary, shorter.summary)


@FRONTS
async def test_an_error_of_the_other_service_passes_on(front: type[Any]) -> None:
    class Refusing(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            raise InvalidArgument("not that", details=[Ask(text="why")])

    async with running(front(), others=[Refusing()]) as worker:
        with pytest.raises(InvalidArgument, match="not that") as refused:
            await worker.client(InterfaceA).summarize(ASK)

    assert ((Ask(text="why"),), "yes") == (refused.value.details, refused.value.dispatched)


@FRONTS
async def test_a_caller_that_leaves_ends_the_calls_that_were_made_for_it(front: type[Any]) -> None:
    entered, ended = asyncio.Event(), asyncio.Event()

    class Endless(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

    async with running(front(), others=[Endless()]) as worker:
        call = asyncio.create_task(worker.client(InterfaceA).summarize(ASK))
        await entered.wait()
        call.cancel()
        async with asyncio.timeout(10):
            await ended.wait()


async def test_a_thread_whose_caller_has_left_begins_no_further_call() -> None:
    entered, left = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    def do(kinds: BlockingKindsClient, text: str) -> None:
        call, pause = current_call(), threading.Event()
        entered.set()
        while not call.cancelled:
            pause.wait(0.01)
        try:
            kinds.unary(Ask())
        except Cancelled as error:
            raised.append(error)
        finally:
            left.set()

    async with running(SyncFront(do), others=[AsyncKinds()]) as worker:
        call = asyncio.create_task(worker.client(InterfaceA).summarize(ASK))
        await asyncio.to_thread(entered.wait, 10)
        call.cancel()
        await asyncio.to_thread(left.wait, 10)

    assert ["CANCELLED: the caller has gone"] == [str(error) for error in raised]


async def test_a_lifespan_may_call_too() -> None:
    class Loading(Front):
        @lifespan
        async def loaded(self) -> AsyncIterator[None]:
            self.first = (await self.kinds.unary(Ask(text="async"))).text
            yield
            self.last = (await self.kinds.unary(Ask(text="at the end"))).text

        @lifespan
        def loaded_in_a_thread(self) -> Iterator[None]:
            self.second = SyncFront.kinds.unary(Ask(text="sync")).text
            yield

    front = Loading()
    async with running(front, others=[AsyncKinds()]):
        pass
    assert ("async", "sync", "at the end") == (front.first, front.second, front.last)


async def test_a_thread_of_the_users_own_finds_the_only_worker() -> None:
    answers: list[str] = []

    class Threaded(AsyncKinds):
        def __init__(self) -> None:
            self.thread = threading.Thread(target=self.work)

        def work(self) -> None:
            answers.append(SyncFront.kinds.unary(Ask(text="me")).text)

        async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
            self.thread.start()
            yield Answer()
            await asyncio.to_thread(self.thread.join)

    async with running(Threaded()) as worker:
        [_] = [each async for each in worker.client(Kinds).server_stream(Ask())]
    assert ["me"] == answers


async def test_the_unit_can_be_named() -> None:
    class Second(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            return Answer(text="second")

    @implements(InterfaceA)
    class Choosing(Front):
        kinds = client_of(Kinds, unit="two")

    others = [App(AsyncKinds(), name="one"), App(Second(), name="two")]
    async with running(Choosing(), others=others) as worker:
        assert "second" == (await worker.client(InterfaceA).summarize(ASK)).summary


async def test_a_service_that_nobody_gave_is_named() -> None:
    async with running(Front()) as worker:
        with pytest.raises(Unimplemented) as refused:
            await worker.client(InterfaceA).summarize(ASK)

    assert (
        "nothing here implements hsu.test.v1.Kinds; "
        "write running(..., others=[...]) with a service that does"
    ) == refused.value.message


async def test_outside_a_worker_the_cure_is_told() -> None:
    expected = (
        "a client of hsu.test.v1.Kinds was made for the services of a worker, and this is none; "
        "in a test use running(..., others=[...]), in a program Master.client"
    )
    with pytest.raises(FailedPrecondition) as refused:
        await Front.kinds.unary(Ask())
    assert expected == refused.value.message
    with pytest.raises(FailedPrecondition) as refused:
        await asyncio.to_thread(SyncFront.kinds.unary, Ask())
    assert expected == refused.value.message


def test_what_is_no_interface_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="KindsClient is no interface"):
        client_of(KindsClient)  # type: ignore[arg-type]


async def test_a_blocking_client_on_the_loop_is_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    async def do(_kinds: KindsClient, _text: str) -> None:
        SyncFront.kinds.unary(Ask())

    async with running(Front(do), others=[AsyncKinds()]) as worker:
        with pytest.raises(Internal):
            await worker.client(InterfaceA).summarize(ASK)

    assert "a blocking client can't be used on the loop's own thread" in caplog.text


async def test_an_async_client_on_another_loop_is_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    def do(_kinds: BlockingKindsClient, _text: str) -> None:
        asyncio.run(Front.kinds.unary(Ask()))

    async with running(SyncFront(do), others=[AsyncKinds()]) as worker:
        with pytest.raises(Internal):
            await worker.client(InterfaceA).summarize(ASK)

    assert "was used on another loop than the worker's; use blocking_client_of" in caplog.text


class Back(AsyncKinds):
    """Calls Front again, as often as the text has letters."""

    front = client_of(InterfaceA)

    async def unary(self, request: Ask) -> Answer:
        if not request.text:
            return Answer(text="done")
        reply = await self.front.summarize(SummarizeRequest(text=request.text[1:]))
        return Answer(text=reply.summary)


@pytest.mark.parametrize(
    ("front", "limits", "what"),
    [
        (Front, Limits(concurrent_calls=1), "concurrent_calls"),
        (SyncFront, Limits(threads=1), "threads"),
    ],
)
async def test_a_call_that_would_wait_for_itself_is_refused(
    front: type[Any], limits: Limits, what: str
) -> None:
    app = App(front(), name="front", limits=limits)
    async with running(app, others=[App(Back(), name="back")]) as worker:
        client = worker.client(InterfaceA)
        assert "done" == (await client.summarize(SummarizeRequest(), timeout=30)).summary
        with pytest.raises(FailedPrecondition) as refused:
            await client.summarize(SummarizeRequest(text="x"), timeout=30)

    assert (
        "unit 'front' has no room for a call that it may be waiting for itself: "
        f"front → back → front; raise App(limits=Limits({what}=...)), "
        "or call without waiting for the answer"
    ) == refused.value.message
    [info] = refused.value.details
    assert "CALL_CYCLE" == getattr(info, "reason", "")


async def test_a_cycle_with_room_is_as_good_as_any_call() -> None:
    app = App(Front(), name="front", limits=Limits(concurrent_calls=3))
    async with running(app, others=[App(Back(), name="back")]) as worker:
        reply = await worker.client(InterfaceA).summarize(SummarizeRequest(text="xx"), timeout=30)
    assert "done" == reply.summary


async def test_the_calls_of_services_go_through_the_interceptors_of_their_app() -> None:
    class Marking(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(
            self, continuation: Any, client_call_details: Any, request: Any
        ) -> Any:
            client_call_details.metadata.add("tracestate", "marked")
            return await continuation(client_call_details, request)

    app = App(Front(), name="front", client_interceptors=[Marking()])
    async with running(app, others=[Noting()]) as worker:
        reply = await worker.client(InterfaceA).summarize(ASK)
    assert ["marked", "front"] == reply.summary.split("|")[-2:]


def test_a_synchronous_test_gives_others_too(run_worker: Callable[..., BlockingWorker]) -> None:
    client = run_worker(SyncFront(), others=[SyncKinds()]).client(InterfaceA)
    assert "hello" == client.summarize(ASK).summary


async def test_requests_can_be_streamed_on() -> None:
    class Relay(AsyncKinds):
        other = client_of(Kinds, unit="other")

        async def client_stream(self, requests: Requests[Ask]) -> Answer:
            return await self.other.client_stream(requests)

    async with running(Relay(), others=[App(AsyncKinds(), name="other")]) as worker:
        answer = await worker.client(Kinds).client_stream([Ask(text="a"), Ask(text="b")])
    assert "a b" == answer.text
