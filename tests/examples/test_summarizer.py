import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.rpc.error_details_pb2 import BadRequest
from hsu_a_service1 import App
from hsu_a_service1.service import MAX_SENTENCES, Summarizer

from hsu_worker import Cancelled, InvalidArgument
from hsu_worker.authoring.call import CURRENT_CALL, Call
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest
from hsu_worker.gen.hsu_core import Core, GetStatusRequest
from hsu_worker.testing import RunningWorker, running

TEXT = (
    "# From field to table\n\n"
    "Farmers bring wheat home. Millers make wheat flour.\n"
    "Millers' flour makes bread. People eat bread daily.\n"
)


@contextmanager
def a_call() -> Iterator[Call]:
    """Stand in for the dispatch, where a handler is called by itself."""
    call = Call(
        interface=InterfaceA,
        method=InterfaceA.methods["summarize"],
        metadata={},
        peer="",
        deadline=None,
        id="",
    )
    token = CURRENT_CALL.set(call)
    yield call
    CURRENT_CALL.reset(token)


async def in_flight(worker: RunningWorker) -> int:
    return (await worker.client(Core).get_status(GetStatusRequest())).calls_in_flight


def test_a_summary_has_the_best_sentences_in_the_order_of_the_text() -> None:
    reply = Summarizer().summarize(SummarizeRequest(text=TEXT, sentences=3))
    assert (
        "Farmers bring wheat home. Millers make wheat flour. Millers' flour makes bread."
        == reply.summary
    )
    assert 4 == reply.total_sentences
    assert [(0, 3), (1, 1), (2, 2)] == [(chunk.position, chunk.rank) for chunk in reply.chunks]


def test_three_sentences_are_the_default_and_all_of_them_the_most() -> None:
    summarizer = Summarizer()
    assert 3 == len(summarizer.summarize(SummarizeRequest(text=TEXT)).chunks)
    every = summarizer.summarize(SummarizeRequest(text=TEXT, sentences=99)).chunks
    assert 4 == len(every)
    assert sum(chunk.score for chunk in every) == pytest.approx(1)


def test_the_stream_has_the_same_sentences_best_first() -> None:
    summarizer, request = Summarizer(), SummarizeRequest(text=TEXT, sentences=4)
    streamed = list(summarizer.stream_summary(request))
    assert [1, 2, 3, 4] == [chunk.rank for chunk in streamed]
    assert list(summarizer.summarize(request).chunks) == sorted(
        streamed, key=lambda chunk: chunk.position
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("# Bread\n", "it holds no sentence; send a text with at least one word of prose"),
        ("?!", "it holds no sentence; send a text with at least one word of prose"),
        (
            "It rains. " * (MAX_SENTENCES + 1),
            "it has more than 2000 sentences; send it in parts",
        ),
    ],
)
def test_a_text_that_cannot_be_summarised_is_refused_with_the_field(
    text: str, problem: str
) -> None:
    summarizer = Summarizer()
    with pytest.raises(InvalidArgument) as refused:
        summarizer.summarize(SummarizeRequest(text=text))
    assert f"text: {problem}" == refused.value.message
    violation = BadRequest.FieldViolation(field="text", description=problem)
    assert (BadRequest(field_violations=[violation]),) == refused.value.details
    with pytest.raises(InvalidArgument):
        list(summarizer.stream_summary(SummarizeRequest(text=text)))


def test_the_work_ends_when_the_caller_has_gone() -> None:
    with a_call() as call:
        call.cancel()
        with pytest.raises(Cancelled):
            Summarizer().summarize(SummarizeRequest(text=TEXT))


async def test_over_the_wire_the_answers_are_the_same() -> None:
    request = SummarizeRequest(text=TEXT, sentences=2)
    async with running(App) as worker:
        client = worker.client(InterfaceA)
        reply = await client.summarize(request)
        streamed = [chunk async for chunk in client.stream_summary(request)]
        assert "Millers make wheat flour. Millers' flour makes bread." == reply.summary
        assert [1, 2] == [chunk.rank for chunk in streamed]
        with pytest.raises(InvalidArgument) as refused:
            [chunk async for chunk in client.stream_summary(SummarizeRequest())]
        assert "text: it is empty" == refused.value.message
        [detail] = refused.value.details
        assert isinstance(detail, BadRequest)
        assert "text" == detail.field_violations[0].field


async def test_a_long_text_keeps_nobody_else_waiting() -> None:
    shared = " ".join(f"word{i}" for i in range(100))
    long = SummarizeRequest(text=f"All of it is {shared}. " * MAX_SENTENCES)
    async with running(App) as worker:
        client = worker.client(InterfaceA)
        slow = asyncio.create_task(client.summarize(long))
        while not await in_flight(worker):
            pass
        assert (await client.summarize(SummarizeRequest(text=TEXT))).chunks
        assert not slow.done()
        slow.cancel()
        # The call ends in the worker, too: its thread is free again before the text is done.
        while await in_flight(worker):
            pass


async def test_stop_words_are_there_between_start_and_stop(tmp_path: Path) -> None:
    summarizer = next(iter(App.services.values()))
    assert isinstance(summarizer, Summarizer)
    async with App.lifespans():
        assert "the" in summarizer.stop_words
        assert not {"bread", "#", "English"} & summarizer.stop_words
    assert not summarizer.stop_words
