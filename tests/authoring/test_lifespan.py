"""`@lifespan`: order, threads, cancellation, and every word with which it refuses."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from hsu_worker import lifespan, report_progress
from hsu_worker.authoring.call import PROGRESS
from hsu_worker.authoring.lifespan import lifespan_names, lifespans_of


async def entered(service: object, inside: Callable[[], None] = lambda: None) -> None:
    async with AsyncExitStack() as stack:
        for manager in lifespans_of(service):
            await stack.enter_async_context(manager)
        inside()


class Noting:
    """Two lifespans, one of each kind, which note what happens."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @lifespan
    def threaded(self) -> Iterator[None]:
        self.notes.append("threaded in")
        yield
        self.notes.append("threaded out")

    @lifespan
    async def looped(self) -> AsyncIterator[None]:
        self.notes.append("looped in")
        yield
        self.notes.append("looped out")


IN_AND_OUT = ["threaded in", "looped in", "looped out", "threaded out"]


async def test_they_are_entered_as_written_and_left_in_reverse() -> None:
    service = Noting()
    await entered(service, lambda: service.notes.append("inside"))
    assert [
        "threaded in",
        "looped in",
        "inside",
        "looped out",
        "threaded out",
    ] == service.notes


async def test_they_can_be_entered_again() -> None:
    service = Noting()
    await entered(service)
    await entered(service)
    assert [*IN_AND_OUT, *IN_AND_OUT] == service.notes


async def test_those_of_base_classes_come_first() -> None:
    class Service(Noting):
        @lifespan
        def own(self) -> Iterator[None]:
            self.notes.append("own in")
            yield
            self.notes.append("own out")

    service = Service()
    await entered(service)
    assert [
        "threaded in",
        "looped in",
        "own in",
        "own out",
        "looped out",
        "threaded out",
    ] == service.notes


async def test_a_marked_override_takes_the_place_of_the_original_once() -> None:
    class Service(Noting):
        @lifespan
        def threaded(self) -> Iterator[None]:
            self.notes.append("override in")
            yield
            self.notes.append("override out")

    service = Service()
    await entered(service)
    assert ["override in", "looped in", "looped out", "override out"] == service.notes


async def test_an_override_may_go_through_the_original() -> None:
    class Service(Noting):
        @lifespan
        def threaded(self) -> Iterator[None]:
            for _ in super().threaded():
                self.notes.append("more")
                yield

    service = Service()
    await entered(service)
    assert [
        "threaded in",
        "more",
        "looped in",
        "looped out",
        "threaded out",
    ] == service.notes


async def test_an_override_without_the_decorator_is_no_lifespan() -> None:
    class Service(Noting):
        def threaded(self) -> Iterator[None]:
            raise AssertionError("never called")

    service = Service()
    await entered(service)
    assert ["looped in", "looped out"] == service.notes


def test_a_subclass_that_says_it_first_is_asked_in_its_own_place() -> None:
    class Base:
        def second(self) -> Iterator[None]:
            yield

        @lifespan
        def first(self) -> Iterator[None]:
            yield

    class Service(Base):
        @lifespan
        def second(self) -> Iterator[None]:
            yield

    assert ["first", "second"] == lifespan_names(Service)


async def test_the_function_can_still_be_called() -> None:
    service = Noting()
    assert [None] == list(service.threaded())
    assert ["threaded in", "threaded out"] == service.notes


async def test_a_sync_one_runs_in_threads_and_leaves_the_loop_free() -> None:
    loop_thread = threading.get_ident()
    acquire, released = threading.Event(), threading.Event()

    class Service:
        @lifespan
        def slow(self) -> Iterator[None]:
            assert threading.get_ident() != loop_thread
            acquire.wait()
            yield
            assert threading.get_ident() != loop_thread
            released.set()

    task = asyncio.create_task(entered(Service()))
    await asyncio.sleep(0)  # the loop goes round while the thread waits
    acquire.set()
    await task
    assert released.is_set()


async def test_context_and_progress_reach_both_kinds() -> None:
    name: ContextVar[str] = ContextVar("name")
    reports: list[tuple[float, str]] = []

    class Service:
        @lifespan
        def threaded(self) -> Iterator[None]:
            report_progress(0.25, name.get())
            yield
            report_progress(0.75, name.get())

        @lifespan
        async def looped(self) -> AsyncIterator[None]:
            report_progress(0.5, name.get())
            yield

    name.set("a name")
    PROGRESS.set(lambda fraction, text: reports.append((fraction, text)))
    await entered(Service())
    assert [(0.25, "a name"), (0.5, "a name"), (0.75, "a name")] == reports


# -- failures


def fail(why: str) -> None:
    raise OSError(why)


class Broken(Noting):
    @lifespan
    def broken(self) -> Iterator[None]:
        fail("no such model")
        yield


async def test_an_error_on_entry_leaves_those_before_as_if_nothing_had_happened() -> None:
    service = Broken()
    with pytest.raises(OSError, match="no such model"):
        await entered(service)
    assert IN_AND_OUT == service.notes


async def test_an_error_inside_is_not_raised_at_the_yield() -> None:
    def inside() -> None:
        raise KeyError("inside")

    service = Noting()
    with pytest.raises(KeyError, match="inside"):
        await entered(service, inside)
    assert IN_AND_OUT == service.notes


@pytest.mark.parametrize("kind", ["threaded", "looped"])
async def test_an_error_on_exit_does_not_keep_the_others_from_being_left(kind: str) -> None:
    class Service(Noting):
        @lifespan
        def threaded_last(self) -> Iterator[None]:
            yield
            if kind == "threaded":
                raise OSError("on exit")

        @lifespan
        async def looped_last(self) -> AsyncIterator[None]:
            yield
            if kind == "looped":
                raise OSError("on exit")

    service = Service()
    with pytest.raises(OSError, match="on exit"):
        await entered(service)
    assert IN_AND_OUT == service.notes


class NoYield:
    @lifespan
    def threaded(self) -> Iterator[None]:
        for _ in list[int]():
            yield

    @lifespan
    async def looped(self) -> AsyncIterator[None]:
        for _ in list[int]():
            yield


class TwoYields:
    closed = False

    @lifespan
    def threaded(self) -> Iterator[None]:
        try:
            yield
            yield
        finally:
            self.closed = True

    @lifespan
    async def looped(self) -> AsyncIterator[None]:
        try:
            yield
            yield
        finally:
            self.closed = True


@pytest.mark.parametrize("name", ["threaded", "looped"])
async def test_one_that_does_not_yield_is_refused(name: str) -> None:
    manager = dict(zip(("threaded", "looped"), lifespans_of(NoYield()), strict=True))[name]
    with pytest.raises(RuntimeError) as caught:
        async with manager:
            pass
    assert (
        f"@lifespan NoYield.{name} did not yield; each way through it acquires, yields once, releases"
    ) == str(caught.value)


@pytest.mark.parametrize("name", ["threaded", "looped"])
async def test_one_that_yields_twice_is_closed_and_refused(name: str) -> None:
    service = TwoYields()
    manager = dict(zip(("threaded", "looped"), lifespans_of(service), strict=True))[name]
    with pytest.raises(RuntimeError) as caught:
        async with manager:
            assert not service.closed
    assert (
        f"@lifespan TwoYields.{name} yielded more than once; what follows the first `yield` releases"
    ) == str(caught.value)
    assert service.closed


# -- cancellation


class Gated:
    """A sync lifespan that stands still before and after its `yield` until it is let go."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.at_entry, self.enter = threading.Event(), threading.Event()
        self.at_exit, self.leave = threading.Event(), threading.Event()
        self.notes: list[str] = []

    @lifespan
    def gated(self) -> Iterator[None]:
        self.at_entry.set()
        self.enter.wait()
        if self.fails:
            raise OSError("no such model")
        self.notes.append("acquired")
        yield
        self.at_exit.set()
        self.leave.wait()
        self.notes.append("released")


async def reached(event: threading.Event) -> None:
    await asyncio.to_thread(event.wait)


async def test_a_cancelled_entry_waits_for_its_thread_and_releases() -> None:
    service = Gated()
    task = asyncio.create_task(entered(service, lambda: service.notes.append("inside")))
    await reached(service.at_entry)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()  # impatience changes nothing
    service.enter.set()
    service.leave.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["acquired", "released"] == service.notes


async def test_a_cancelled_entry_that_fails_is_cancelled_and_keeps_the_reason() -> None:
    service = Gated(fails=True)
    task = asyncio.create_task(entered(service))
    await reached(service.at_entry)
    task.cancel()
    await asyncio.sleep(0)
    service.enter.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert "no such model" == str(caught.value.__cause__)
    assert [] == service.notes


async def test_a_cancelled_exit_waits_for_its_thread() -> None:
    service = Gated()
    service.enter.set()
    task = asyncio.create_task(entered(service))
    await reached(service.at_exit)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    service.leave.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["acquired", "released"] == service.notes


async def test_a_cancellation_between_the_steps_releases() -> None:
    service = Noting()
    inside = asyncio.Event()

    async def hold() -> None:
        async with AsyncExitStack() as stack:
            for manager in lifespans_of(service):
                await stack.enter_async_context(manager)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert IN_AND_OUT == service.notes


async def test_an_async_one_is_cancelled_where_it_waits() -> None:
    waiting = asyncio.Event()
    notes: list[str] = []

    class Service:
        @lifespan
        async def slow(self) -> AsyncIterator[None]:
            try:
                waiting.set()
                await asyncio.Event().wait()
                yield
            finally:
                notes.append("cleaned up")

    task = asyncio.create_task(entered(Service()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["cleaned up"] == notes


# -- misuse


def _returns(self: Any) -> None: ...


async def _coroutine(self: Any) -> None: ...


def _with_path(self: Any, path: str) -> Iterator[None]:
    yield


def _bare() -> Iterator[None]:
    yield


@contextmanager
def _managed(self: Any) -> Iterator[None]:
    yield


@asynccontextmanager
async def _async_managed(self: Any) -> AsyncIterator[None]:
    yield


NO_GENERATOR = "it is no generator function; acquire, `yield` once, release"
SELF_ALONE = "it is called with `self` alone; what it needs belongs into the constructor"
TAKE_AWAY = "take @contextmanager away; @lifespan wants the generator function"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_returns, f"@lifespan on _returns: {NO_GENERATOR}"),
        (_coroutine, f"@lifespan on _coroutine: {NO_GENERATOR}"),
        (staticmethod(_bare), f"@lifespan on _bare: {NO_GENERATOR}"),
        (Noting, f"@lifespan on Noting: {NO_GENERATOR}"),
        (7, f"@lifespan on 7: {NO_GENERATOR}"),
        (_with_path, f"@lifespan on _with_path: {SELF_ALONE}"),
        (_bare, f"@lifespan on _bare: {SELF_ALONE}"),
        (_managed, f"@lifespan on _managed: {TAKE_AWAY}"),
        (_async_managed, f"@lifespan on _async_managed: {TAKE_AWAY}"),
    ],
)
def test_what_is_no_lifespan_is_refused(function: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        lifespan(function)
    assert message == str(caught.value)
    assert not hasattr(function, "__hsu_lifespan__")


def test_contextmanager_above_lifespan_is_refused() -> None:
    class Service:
        @contextmanager
        @lifespan
        def loaded(self) -> Iterator[None]:
            yield

    with pytest.raises(TypeError) as caught:
        lifespan_names(Service)
    assert f"@lifespan on {Service.__qualname__}.loaded: {TAKE_AWAY}" == str(caught.value)


async def test_a_decorator_above_that_passes_the_generator_on_is_fine() -> None:
    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    notes: list[str] = []

    class Service:
        @traced
        @lifespan
        def threaded(self) -> Iterator[None]:
            notes.append("threaded")
            yield

        @traced
        @lifespan
        async def looped(self) -> AsyncIterator[None]:
            notes.append("looped")
            yield

    await entered(Service())
    assert ["threaded", "looped"] == notes


def test_looking_for_lifespans_runs_no_property() -> None:
    class Base:
        @lifespan
        def loaded(self) -> Iterator[None]:
            yield

    class Service(Base):
        @property
        def loaded(self) -> int:  # type: ignore[override]
            raise AssertionError("never read")

    assert [] == lifespans_of(Service())
