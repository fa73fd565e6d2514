"""`@implements`: what it accepts, what it leaves alone, and every word with which it refuses."""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast
from unittest.mock import Mock

import pytest

from hsu_worker import Requests
from hsu_worker.authoring.check import _Handler, handler_line, mismatches
from hsu_worker.authoring.implements import implements, interfaces_of, own_interfaces
from hsu_worker.errors import InterfaceMismatch
from hsu_worker.gen.hsu_a import (
    InterfaceA,
    InterfaceAHandlers,
    SummarizeRequest,
    SummarizeResponse,
    SummaryChunk,
)
from hsu_worker.gen.hsu_b import (
    GetStatsRequest,
    GetStatsResponse,
    IngestRequest,
    IngestResponse,
    InterfaceB,
    SearchRequest,
    SearchResponse,
)
from tests.authoring.four_kinds import Answer, FourKinds, Part, Question

if TYPE_CHECKING:
    from nowhere import Unresolvable  # type: ignore[import-not-found]

SUMMARIZE = "    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:"
STREAM = (
    "    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:"
)
SYNC_SUMMARIZE = "    def summarize(self, request: SummarizeRequest) -> SummarizeResponse:"
SYNC_STREAM = "    def stream_summary(self, request: SummarizeRequest) -> Iterator[SummaryChunk]:"


class Good:
    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()


def refused(cls: type[Any], interface: Any = InterfaceA) -> list[str]:
    """The lines of the refusal, without the first, which is always the same."""
    before = dict(vars(cls))
    with pytest.raises(InterfaceMismatch) as caught:
        implements(interface)(cls)
    assert before == dict(vars(cls))
    first, *rest = str(caught.value).split("\n")
    assert f"{cls.__qualname__} does not implement {interface.name}:" == first
    return rest


def test_it_returns_the_same_class_and_marks_it() -> None:
    class Service(Good):
        def __init__(self, path: str) -> None:
            self.path = path

    before = set(vars(Service))
    assert Service is implements(InterfaceA)(Service)
    assert {"__hsu_interfaces__"} == set(vars(Service)) - before
    assert (InterfaceA,) == interfaces_of(Service)
    assert "x" == Service("x").path


def test_the_whole_message_of_a_class_that_has_nothing() -> None:
    with pytest.raises(InterfaceMismatch) as caught:

        @implements(InterfaceA)
        class Nothing:  # type: ignore[type-var]
            pass

    assert (
        "test_the_whole_message_of_a_class_that_has_nothing.<locals>.Nothing "
        "does not implement hsu.a.v1.InterfaceA:\n"
        "  summarize is missing; write\n"
        "    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:\n"
        "  stream_summary is missing; write\n"
        "    async def stream_summary(self, request: SummarizeRequest) "
        "-> AsyncIterator[SummaryChunk]:"
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ask", "async def ask(self, request: Question) -> Answer:"),
        ("watch", "async def watch(self, request: Question) -> AsyncIterator[Answer]:"),
        ("collect", "async def collect(self, requests: Requests[Question.Part]) -> Answer:"),
        (
            "talk_back",
            "async def talk_back(self, requests: Requests[Question.Part]) -> AsyncIterator[Answer]:",
        ),
    ],
)
def test_the_line_to_write_for_each_kind(name: str, line: str) -> None:
    method = FourKinds.methods[name]
    assert line == handler_line(method)
    assert line.replace("async def", "def").replace("AsyncIterator", "Iterator") == handler_line(
        method, is_sync=True
    )


# -- names


def test_a_misspelt_handler_is_found() -> None:
    class Service:
        summarize = Good.summarize

        async def stream_sumary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
            yield SummaryChunk()

    assert [
        "  stream_summary is missing; stream_sumary looks like a misspelling of it; write",
        STREAM,
    ] == refused(Service)


@pytest.mark.parametrize("name", ["streamSummary", "_stream_summary", "streamsummary"])
def test_a_handler_in_another_spelling_is_found(name: str) -> None:
    cls = type("Service", (), {"summarize": Good.summarize, name: Good.stream_summary})
    assert [
        f"  stream_summary is missing; {name} looks like a misspelling of it; write",
        STREAM,
    ] == refused(cls)


def test_a_camel_case_twin_is_told_the_rule() -> None:
    cls = type("Service", (), {"Summarize": Good.summarize, "StreamSummary": Good.stream_summary})
    assert [
        "  summarize is missing; handlers are snake_case, and Summarize is not; write",
        SUMMARIZE,
        "  stream_summary is missing; handlers are snake_case, and StreamSummary is not; write",
        STREAM,
    ] == refused(cls)


def test_a_misspelling_in_a_base_class_is_found() -> None:
    base = type("Base", (), {"sumarize": Good.summarize})
    cls = type("Service", (base,), {"stream_summary": Good.stream_summary})
    assert [
        "  summarize is missing; sumarize looks like a misspelling of it; write",
        SUMMARIZE,
    ] == refused(cls)


def test_a_value_is_no_misspelling() -> None:
    cls = type("Service", (), {"sumarize": "text", "stream_summary": Good.stream_summary})
    assert ["  summarize is missing; write", SUMMARIZE] == refused(cls)


def test_further_methods_are_the_class_s_own_business() -> None:
    class Service(Good):
        async def summarize_all(self, first: int, second: int) -> None: ...

        def Summarize(self) -> None: ...  # noqa: N802

    assert Service is implements(InterfaceA)(Service)


def test_handlers_may_come_from_base_classes() -> None:
    class Half:
        summarize = Good.summarize

    class Service(Half):
        stream_summary = Good.stream_summary

    assert Service is implements(InterfaceA)(Service)


def test_what_the_generated_protocol_declares_is_missing() -> None:
    class Service(InterfaceAHandlers):
        async def summarize(self, request: SummarizeRequest, /) -> SummarizeResponse:
            return SummarizeResponse()

    assert ["  stream_summary is missing; write", STREAM] == refused(Service)


# -- number of arguments


def _no_self() -> SummarizeResponse:
    return SummarizeResponse()


async def _nothing(self: Any) -> SummarizeResponse:
    return SummarizeResponse()


async def _context(self: Any, request: SummarizeRequest, context: object) -> SummarizeResponse:
    return SummarizeResponse()


async def _keyword(self: Any, *, request: SummarizeRequest) -> SummarizeResponse:
    return SummarizeResponse()


async def _more(self: Any, request: SummarizeRequest, *, depth: int) -> SummarizeResponse:
    return SummarizeResponse()


def _sync(self: Any, request: SummarizeRequest, secret: str) -> SummarizeResponse:
    return SummarizeResponse()


@pytest.mark.parametrize(
    ("handler", "problem", "line"),
    [
        (_no_self, "summarize() can't be called with self and the request", SYNC_SUMMARIZE),
        (_nothing, "summarize() can't be called with the request alone", SUMMARIZE),
        (
            _context,
            (
                "summarize(request, context) can't be called with the request alone "
                "(current_call() tells what `context` told)"
            ),
            SUMMARIZE,
        ),
        (_keyword, "summarize(*, request) can't be called with the request alone", SUMMARIZE),
        (_more, "summarize(request, *, depth) can't be called with the request alone", SUMMARIZE),
        (
            _sync,
            "summarize(request, secret) can't be called with the request alone",
            SYNC_SUMMARIZE,
        ),
        (
            staticmethod(_nothing),
            None,
            None,
        ),
        (
            staticmethod(_more),
            "summarize(self, request, *, depth) can't be called with the request alone",
            SUMMARIZE,
        ),
        (classmethod(_nothing), "summarize() can't be called with the request alone", SUMMARIZE),
        (classmethod(cast("Any", Good.summarize)), None, None),
        (
            functools.partialmethod(_more, depth=1),
            None,
            None,
        ),
        (functools.partial(_context, None, context=None), None, None),
    ],
)
def test_a_handler_takes_one_argument(handler: Any, problem: str | None, line: str | None) -> None:
    cls = type("Service", (Good,), {"summarize": handler})
    if problem is None:
        assert cls is implements(InterfaceA)(cls)
    else:
        assert [f"  {problem}; write", line] == refused(cls)


async def _star(self: Any, *args: Any) -> SummarizeResponse:
    return SummarizeResponse()


async def _defaults(self: Any, request: Any = None, depth: int = 1, *, k: int = 2) -> Any: ...


@pytest.mark.parametrize("handler", [_star, _defaults, Mock(), lambda self, request: None])
def test_a_handler_may_take_more_that_nobody_gives(handler: Any) -> None:
    cls = type("Service", (Good,), {"summarize": handler})
    assert cls is implements(InterfaceA)(cls)


def test_the_requests_of_a_stream_are_named_so() -> None:
    async def collect(self: Any) -> Any: ...

    assert [
        (
            "collect() can't be called with the requests alone; write\n"
            "    async def collect(self, requests: Requests[Question.Part]) -> Answer:"
        )
    ] == _only("collect", collect)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "NoneType"),
        ("text", "str"),
        (property(lambda self: None), "property"),
        (functools.cached_property(lambda self: None), "cached_property"),
    ],
)
def test_a_handler_is_a_method(value: object, kind: str) -> None:
    cls = type("Service", (Good,), {"summarize": value})
    assert [f"  summarize is no method, but of type {kind}; write", SUMMARIZE] == refused(cls)


# -- kinds


async def _coroutine(self: Any, request: Any) -> Any: ...


async def _async_generator(self: Any, request: Any) -> Any:
    yield None


def _generator(self: Any, request: Any) -> Any:
    yield None


def _function(self: Any, request: Any) -> Any: ...


@functools.wraps(_coroutine)
def _wrapped_coroutine(self: Any, request: Any) -> Any:
    return _coroutine(self, request)


@functools.wraps(_async_generator)
def _wrapped_async_generator(self: Any, request: Any) -> Any:
    return _async_generator(self, request)


def _only(name: str, handler: Any) -> list[str]:
    """What is wrong with one handler of FourKinds."""
    cls = type("Service", (), {name: handler})
    return [problem for problem in mismatches(cls, FourKinds) if not problem.startswith(_MISSING)]


_MISSING = tuple(f"{name} is missing" for name in FourKinds.methods)


@pytest.mark.parametrize("name", FourKinds.methods)
@pytest.mark.parametrize(
    "handler",
    [
        _coroutine,
        _async_generator,
        _generator,
        _function,
        _wrapped_coroutine,
        _wrapped_async_generator,
        functools.partialmethod(_coroutine),
        functools.partialmethod(_generator),
        staticmethod(functools.partial(_coroutine, None)),
    ],
    ids=lambda handler: getattr(handler, "__name__", type(handler).__name__),
)
def test_the_kind_of_function_fits_the_kind_of_call(name: str, handler: Any) -> None:
    method = FourKinds.methods[name]
    inner = getattr(handler, "func", handler)
    inner = getattr(inner, "__func__", inner)
    inner = getattr(inner, "func", inner)
    is_sync = inner in (_generator, _function)
    if method.server_streaming and inner is _coroutine:
        problem = f"{name} answers with a stream, and has no `yield`"
    elif not method.server_streaming and inner in (_async_generator, _generator):
        problem = f"{name} answers with one message, and has a `yield`"
    else:
        assert [] == _only(name, handler)
        return
    assert [f"{problem}; write\n    {handler_line(method, is_sync)}"] == _only(name, handler)


@pytest.mark.parametrize(
    ("name", "returns", "problem"),
    [
        ("ask", Answer, ""),
        ("ask", Awaitable[Answer], ""),
        ("ask", Any, ""),
        ("ask", object, ""),
        ("ask", Answer | None, ""),
        ("ask", Question, "ask returns Question instead of Answer"),
        ("ask", Awaitable[Question], "ask returns Question instead of Answer"),
        ("ask", None, "ask returns None instead of Answer"),
        ("ask", "str", "ask returns str instead of Answer"),
        ("ask", "dict[str, int]", "ask returns dict[str, int] instead of Answer"),
        (
            "ask",
            AsyncIterator[Answer],
            "ask answers with one message, and returns AsyncIterator[Answer]",
        ),
        ("ask", Iterator[Answer], "ask answers with one message, and returns Iterator[Answer]"),
        ("watch", AsyncIterator[Answer], ""),
        ("watch", Iterator[Answer], ""),
        ("watch", AsyncGenerator[Answer, None], ""),
        ("watch", "AsyncIterator", ""),
        ("watch", Any, ""),
        ("watch", "Unresolvable", ""),
        ("watch", "AsyncIterator[Unresolvable]", ""),
        ("watch", "1 / 0", ""),
        ("watch", Answer, "watch answers with a stream, and returns Answer"),
        ("watch", Awaitable[Answer], "watch answers with a stream, and returns Awaitable[Answer]"),
        ("watch", "list[Answer]", "watch answers with a stream, and returns list[Answer]"),
        ("watch", None, "watch answers with a stream, and returns None"),
        ("watch", AsyncIterator[Question], "watch yields Question instead of Answer"),
    ],
)
def test_a_plain_function_is_judged_by_what_it_says_it_returns(
    name: str, returns: Any, problem: str
) -> None:
    def handler(self: Any, request: Any) -> Any: ...

    handler.__annotations__["return"] = returns
    line = handler_line(FourKinds.methods[name], is_sync=True)
    assert ([f"{problem}; write\n    {line}"] if problem else []) == _only(name, handler)


@pytest.mark.parametrize(
    ("name", "takes", "problem"),
    [
        ("ask", Question, ""),
        ("ask", "Question", ""),
        ("ask", "google.protobuf.message.Message", ""),
        ("ask", "Unresolvable", ""),
        ("ask", Answer, "ask takes Answer instead of Question"),
        ("ask", Part, "ask takes Question.Part instead of Question"),
        ("ask", "dict", "ask takes dict instead of Question"),
        ("ask", Requests[Question], "ask takes a stream, and is given one Question"),
        ("ask", AsyncIterator[Question], "ask takes a stream, and is given one Question"),
        ("collect", Requests[Part], ""),
        ("collect", AsyncIterator[Part], ""),
        ("collect", Iterator[Part], ""),
        ("collect", "Requests", ""),
        ("collect", "object", ""),
        ("collect", Part, "collect takes Question.Part, and is given a stream"),
        ("collect", "list[Part]", "collect takes list[Question.Part], and is given a stream"),
        ("collect", Requests[Answer], "collect takes a stream of Answer instead of Question.Part"),
    ],
)
def test_the_request_is_what_the_annotation_says(name: str, takes: Any, problem: str) -> None:
    async def handler(self: Any, any_name: Any) -> Any: ...

    handler.__annotations__["any_name"] = takes
    line = handler_line(FourKinds.methods[name])
    assert ([f"{problem}; write\n    {line}"] if problem else []) == _only(name, handler)


async def test_one_annotation_that_means_nothing_here_does_not_hide_the_others() -> None:
    async def ask(self: Any, request: "Unresolvable") -> Question: ...

    assert [
        (
            "ask returns Question instead of Answer; write\n"
            "    async def ask(self, request: Question) -> Answer:"
        )
    ] == _only("ask", ask)


def test_generators_say_what_they_yield() -> None:
    async def watch(self: Any, request: Any) -> AsyncIterator[Question]:
        yield Question()

    assert [
        (
            "watch yields Question instead of Answer; write\n"
            "    async def watch(self, request: Question) -> AsyncIterator[Answer]:"
        )
    ] == _only("watch", watch)


def test_everything_that_is_wrong_with_a_method_is_told_at_once() -> None:
    async def ask(self: Any, request: Answer, context: Any) -> Question:
        yield Question()

    assert [
        (
            "ask(request, context) can't be called with the request alone "
            "(current_call() tells what `context` told); "
            "ask answers with one message, and has a `yield`; "
            "ask takes Answer instead of Question; write\n"
            "    async def ask(self, request: Question) -> Answer:"
        )
    ] == _only("ask", ask)


def test_a_decorator_that_changes_arguments_and_answer_is_believed() -> None:
    def collected(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapper(self: Any, request: Any) -> Any:
            return [item async for item in function(self, request, "more")][-1]

        return wrapper

    class Service(Good):
        @collected
        async def summarize(self, request: str, more: str) -> AsyncIterator[SummaryChunk]:
            yield SummaryChunk()

    assert Service is implements(InterfaceA)(Service)  # type: ignore[type-var, comparison-overlap, unused-ignore]


def test_a_descriptor_that_wants_a_true_instance_is_believed() -> None:
    class Picky:
        def __get__(self, instance: object, owner: type) -> Any:
            return instance.missing  # type: ignore[attr-defined]

    cls = type("Service", (Good,), {"summarize": Picky()})
    assert cls is implements(InterfaceA)(cls)


def test_two_python_classes_of_one_message_are_the_same() -> None:
    class Twin(SummarizeRequest.__base__):  # type: ignore[misc, name-defined]
        DESCRIPTOR = SummarizeRequest.DESCRIPTOR

    async def summarize(self: Any, request: Any) -> Any: ...

    summarize.__annotations__["request"] = Twin
    assert [] == mismatches(type("Service", (Good,), {"summarize": summarize}), InterfaceA)


# -- marks


class StreamsIn:
    async def ingest(self, requests: Requests[IngestRequest]) -> IngestResponse:
        return IngestResponse()

    def search(self, request: SearchRequest) -> Iterator[SearchResponse]:
        yield SearchResponse()

    def get_stats(self, request: GetStatsRequest) -> GetStatsResponse:
        return GetStatsResponse()


def test_interfaces_are_stacked() -> None:
    @implements(InterfaceA)
    @implements(InterfaceB)
    class Both(Good, StreamsIn):
        pass

    assert (InterfaceB, InterfaceA) == interfaces_of(Both)


def test_the_second_of_two_is_refused_and_the_first_stays() -> None:
    class Service(Good):
        pass

    first: type[Any] = implements(InterfaceA)(Service)
    with pytest.raises(InterfaceMismatch, match=r"does not implement hsu\.b\.v1\.InterfaceB:"):
        implements(InterfaceB)(first)
    assert (InterfaceA,) == interfaces_of(first)


def test_one_interface_twice_is_refused() -> None:
    with pytest.raises(InterfaceMismatch) as caught:

        @implements(InterfaceA)
        @implements(InterfaceA)
        class Twice(Good):
            pass

    assert (
        "test_one_interface_twice_is_refused.<locals>.Twice has @implements(InterfaceA) twice; "
        "remove one of them"
    ) == str(caught.value)


def test_a_subclass_inherits_and_leaves_its_base_alone() -> None:
    @implements(InterfaceA)
    class Base(Good):
        pass

    class Plain(Base):
        pass

    @implements(InterfaceB)
    class More(Base, StreamsIn):
        pass

    @implements(InterfaceA)
    class Again(Base):
        pass

    assert (InterfaceA,) == interfaces_of(Base)
    assert (InterfaceA,) == interfaces_of(Plain)
    assert () == own_interfaces(Plain)
    assert (InterfaceA, InterfaceB) == interfaces_of(More)
    assert (InterfaceA,) == interfaces_of(Again)


def test_two_marked_bases_both_count() -> None:
    @implements(InterfaceA)
    class First(Good):
        pass

    @implements(InterfaceB)
    class Second(StreamsIn):
        pass

    class Both(First, Second):
        pass

    assert {InterfaceA, InterfaceB} == set(interfaces_of(Both))


def test_a_dataclass_with_slots_keeps_the_mark() -> None:
    @dataclass(slots=True)
    @implements(InterfaceA)
    class Service(Good):
        path: str = ""

    assert (InterfaceA,) == interfaces_of(Service)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            Good,
            (
                "implements(Good): Good is no interface; write @implements(InterfaceA), "
                "with an interface that `hsu-worker gen` made"
            ),
        ),
        (
            InterfaceAHandlers,
            (
                "implements(InterfaceAHandlers): InterfaceAHandlers is no interface; "
                "write @implements(InterfaceA), with an interface that `hsu-worker gen` made"
            ),
        ),
        (
            type("BlockingThingClient", (), {}),
            (
                "implements(BlockingThingClient): BlockingThingClient is no interface; "
                "write @implements(Thing), with an interface that `hsu-worker gen` made"
            ),
        ),
        (
            "hsu.a.v1.InterfaceA",
            (
                "implements('hsu.a.v1.InterfaceA'): 'hsu.a.v1.InterfaceA' is no interface; "
                "write @implements(InterfaceA), with an interface that `hsu-worker gen` made"
            ),
        ),
    ],
)
def test_what_is_no_interface_is_refused(given: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        implements(given)
    assert message == str(caught.value)


def _some_function() -> None: ...


@pytest.mark.parametrize(
    ("given", "name"), [(_some_function, "_some_function"), (7, "7"), (None, "None")]
)
def test_what_is_no_class_is_refused(given: Any, name: str) -> None:
    with pytest.raises(TypeError) as caught:
        implements(InterfaceA)(given)
    assert f"@implements(InterfaceA) belongs above a class, and is above {name}" == str(
        caught.value
    )


def test_protocols_say_nothing_about_a_request() -> None:
    class HasText(Protocol):
        text: str

    async def summarize(self: Any, request: HasText) -> Any: ...

    summarize.__annotations__["request"] = HasText
    assert [] == mismatches(type("Service", (Good,), {"summarize": summarize}), InterfaceA)


def test_annotations_that_can_not_be_evaluated_say_nothing() -> None:
    # As they do from Python 3.14 on when they name what only type checkers import.
    class Lazy:
        @property
        def __annotations__(self) -> dict[str, Any]:  # type: ignore[override]
            raise NameError("name 'Model' is not defined")

    handler = _Handler(Good, InterfaceA.methods["summarize"], vars(Good)["summarize"])
    handler.function = Lazy()
    assert [] == handler.problems()
