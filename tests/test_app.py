"""`App`: what it refuses, and in what order it enters and leaves."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc.aio
import pytest

from hsu_worker import App, Limits, implements, lifespan
from hsu_worker.errors import AppError
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk
from hsu_worker.gen.hsu_core import Core
from hsu_worker.interface import AnyInterface, Interface


class Handlers:
    def __init__(self, notes: list[str] | None = None, name: str = "") -> None:
        self.notes = notes if notes is not None else []
        self.name = name

    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse()

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk()

    @lifespan
    def loaded(self) -> Iterator[None]:
        self.notes.append(f"{self.name} in")
        yield
        self.notes.append(f"{self.name} out")


@implements(InterfaceA)
class Summarizer(Handlers):
    pass


def another(interface_name: str, base: type[Any] = Handlers) -> type[Any]:
    """A class that implements a copy of InterfaceA under another name."""

    class Descriptor:
        full_name = interface_name
        name = interface_name.rpartition(".")[2]
        methods = InterfaceA.descriptor.methods

    other: AnyInterface = Interface(Descriptor, client=str, blocking_client=str)  # type: ignore[arg-type]
    cls = type("Another", (base,), {"__hsu_interfaces__": (other,)})
    cls.__qualname__ = "Another"
    return cls


class Plain:
    pass


def refused(*services: object, **options: Any) -> str:
    with pytest.raises(AppError) as caught:
        App(*services, **options)
    return str(caught.value)


def test_it_gathers_services_by_interface() -> None:
    service = Summarizer()
    app = App(service, name="summarizer", version="1.2.0", limits=Limits(threads=2))
    assert {InterfaceA: service} == dict(app.services)
    assert ("summarizer", "1.2.0", 2) == (app.name, app.version, app.limits.threads)
    assert "<App summarizer: hsu.a.v1.InterfaceA>" == repr(app)


def test_the_first_service_names_it() -> None:
    app = App(Summarizer())
    assert ("Summarizer", "", Limits()) == (app.name, app.version, app.limits)


def test_one_service_may_implement_several_interfaces() -> None:
    service = another("test.v2.InterfaceA", Summarizer)()
    assert ["hsu.a.v1.InterfaceA", "test.v2.InterfaceA"] == [
        interface.name for interface in App(service).services
    ]
    assert {service} == set(App(service).services.values())


class Interceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Of calls that a worker makes."""


def test_without_services_it_is_refused() -> None:
    assert "no service is given; write App(MyService())" == refused()


def test_a_class_instead_of_an_instance_is_refused() -> None:
    assert "Summarizer is a class; write App(Summarizer())" == refused(Summarizer)


def test_a_class_without_interface_is_refused() -> None:
    assert "Plain implements no interface; write @implements(...) above the class" == refused(
        Plain()
    )


def test_one_interface_twice_is_refused() -> None:
    class Other(Summarizer):
        pass

    assert (
        "hsu.a.v1.InterfaceA is implemented by both Summarizer and "
        f"{Other.__qualname__}; give App one of the two"
    ) == refused(Summarizer(), Other())


def test_interfaces_are_told_apart_by_name() -> None:
    assert (
        "hsu.a.v1.InterfaceA is implemented by both Summarizer and Another; give App one of the two"
    ) == refused(Summarizer(), another("hsu.a.v1.InterfaceA")())


def test_one_service_twice_is_refused() -> None:
    service = Summarizer()
    assert "Summarizer is given twice; give it once" == refused(service, service)


@pytest.mark.parametrize(
    "name",
    [
        Core.name,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ],
)
def test_what_every_worker_serves_is_refused(name: str) -> None:
    assert (
        f"Another implements {name}, which every worker serves by itself; "
        f"take @implements({name.rpartition('.')[2]}) away"
    ) == refused(another(name)())


def test_an_override_that_no_longer_fits_is_refused() -> None:
    class Wrong(Summarizer):
        async def stream_summary(self, request: SummarizeRequest) -> SummaryChunk:  # type: ignore[override]
            return SummaryChunk()

    assert (
        f"{Wrong.__qualname__} does not implement hsu.a.v1.InterfaceA: "
        "stream_summary answers with a stream, and has no `yield`; write\n"
        "    async def stream_summary(self, request: SummarizeRequest) "
        "-> AsyncIterator[SummaryChunk]:"
    ) == refused(Wrong())


def test_a_lifespan_that_can_not_be_entered_is_refused() -> None:
    class Wrong(Summarizer):
        @contextmanager
        @lifespan
        def opened(self) -> Iterator[None]:
            yield

    assert (
        f"@lifespan on {Wrong.__qualname__}.opened: take @contextmanager away; "
        "@lifespan wants the generator function"
    ) == refused(Wrong())


@pytest.mark.parametrize(
    "word", ["two words", "größe", "-x", ".x", "a" * 101, "a/b", "a\n", " ", "x\x00"]
)
@pytest.mark.parametrize("what", ["name", "version"])
def test_names_and_versions_are_single_ascii_words(what: str, word: str) -> None:
    assert (
        f"{what} {word!r} won't do; write App(..., {what}=...) with up to 100 ASCII letters, "
        "digits and . _ + -, the first no punctuation"
    ) == refused(Summarizer(), **{what: word})


@pytest.mark.parametrize("word", ["a", "A-1.b_c", "1.0.0+abc", "_Private", "a" * 100])
def test_ordinary_names_and_versions_are_accepted(word: str) -> None:
    app = App(Summarizer(), name=word, version=word)
    assert (word, word) == (app.name, app.version)


def test_a_class_name_that_is_not_ascii_needs_a_name() -> None:
    cls = type("Übersetzer", (Summarizer,), {})
    assert (
        "name 'Übersetzer' won't do; write App(..., name=...) with up to 100 ASCII letters, "
        "digits and . _ + -, the first no punctuation"
    ) == refused(cls())
    assert "translator" == App(cls(), name="translator").name


def test_limits_of_another_type_are_refused() -> None:
    limits: Any = {"threads": 3}
    with pytest.raises(AppError) as raised:
        App(Summarizer(), limits=limits)
    assert "limits are {'threads': 3}; write limits=Limits(message_bytes=...)" == str(raised.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Interceptor, "Interceptor is a class; write Interceptor()"),
        (
            "x",
            (
                "str is none; derive it from grpc.aio.UnaryUnaryClientInterceptor, or from that of "
                "another kind of call"
            ),
        ),
    ],
)
def test_what_can_not_intercept_the_calls_that_it_makes_is_refused(
    given: Any, message: str
) -> None:
    with pytest.raises(AppError) as raised:
        App(Summarizer(), client_interceptors=[given])
    assert f"client_interceptors: {message}" == str(raised.value)


def test_everything_is_refused_at_once() -> None:
    service = Summarizer()
    assert [
        "Plain implements no interface; write @implements(...) above the class",
        "Plain is a class; write App(Plain())",
        "Summarizer is given twice; give it once",
        (
            "version '?' won't do; write App(..., version=...) with up to 100 ASCII letters, "
            "digits and . _ + -, the first no punctuation"
        ),
    ] == refused(Plain(), Plain, service, service, version="?").split("\n")


# -- lifespans


async def test_services_are_entered_in_order_and_left_in_reverse() -> None:
    notes: list[str] = []
    app = App(Summarizer(notes, "first"), another("test.v2.InterfaceA")(notes, "second"))
    for _ in range(2):
        async with app.lifespans():
            notes.append("inside")
    assert ["first in", "second in", "inside", "second out", "first out"] * 2 == notes


async def test_a_service_of_two_interfaces_is_entered_once() -> None:
    notes: list[str] = []
    app = App(another("test.v2.InterfaceA", Summarizer)(notes, "both"))
    async with app.lifespans():
        pass
    assert ["both in", "both out"] == notes


async def test_a_failing_entry_leaves_those_before() -> None:
    class Failing(Summarizer):
        @lifespan
        def more(self) -> Iterator[None]:
            self.fail()
            yield

        def fail(self) -> None:
            raise OSError("no such model")

    notes: list[str] = []
    app = App(Failing(notes, "base"))
    with pytest.raises(OSError, match="no such model"):
        async with app.lifespans():
            notes.append("inside")
    assert ["base in", "base out"] == notes
    # Nothing is kept: it can be tried again.
    with pytest.raises(OSError, match="no such model"):
        async with app.lifespans():
            notes.append("inside")
    assert ["base in", "base out"] * 2 == notes
