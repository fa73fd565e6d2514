"""What a service acquires before it can serve, and releases after."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import copy_context
from typing import Any, TypeAlias, TypeVar

from hsu_worker.authoring.mistake import mistake
from hsu_worker.authoring.signature import signature_of

_MARK = "__hsu_lifespan__"

LifespanFunction = TypeVar(
    "LifespanFunction", bound=Callable[[Any], Iterator[None] | AsyncIterator[None]]
)
T = TypeVar("T")

_Steps: TypeAlias = Generator[None, None, None] | AsyncGenerator[None, None]


def lifespan(function: LifespanFunction) -> LifespanFunction:
    """Mark a method that acquires, yields once, and releases.

        @lifespan
        def loaded(self) -> Iterator[None]:
            self.model = load(self.path)
            yield  # calls are answered here
            self.model.close()

    It is entered on Core.Start and left on Core.Stop; a sync generator runs in a thread, so that
    the worker answers Ping while it loads. A class may have several: they are entered in the order
    in which they are written, those of base classes first, and left in reverse. A subclass that
    overrides one takes its place, and says again that it is a lifespan; without the decorator the
    override is an ordinary method.

    What stands after the `yield` runs however the worker stops: nothing is raised at the `yield`.

    Raises:
        TypeError: It is no generator function, or takes more than `self`.
    """
    name = getattr(function, "__qualname__", repr(function))
    if _is_context_manager(function):
        raise mistake(TypeError(_context_manager(name)))
    if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
        raise mistake(
            TypeError(
                f"@lifespan on {name}: it is no generator function; acquire, `yield` once, release"
            )
        )
    signature = signature_of(function)
    try:
        signature.bind(object())
    except TypeError:
        raise mistake(
            TypeError(
                f"@lifespan on {name}: it is called with `self` alone; "
                "what it needs belongs into the constructor"
            )
        ) from None
    setattr(function, _MARK, True)
    return function


def lifespan_names(cls: type[Any]) -> list[str]:
    """The lifespans of a class, in the order in which they are to be entered.

    Raises:
        TypeError: One is covered by a decorator that hides its generator.
    """
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        names |= {name: None for name, value in vars(base).items() if _is_marked(value)}
    # One that a subclass overrides with something else is none any more.
    found = {
        name: value for name in names if _is_marked(value := inspect.getattr_static(cls, name))
    }
    for value in found.values():
        if _is_context_manager(value):
            raise TypeError(_context_manager(value.__qualname__))
    return list(found)


def lifespans_of(service: object) -> list[AbstractAsyncContextManager[None]]:
    """The lifespans of a service, in the order in which they are to be entered.

    They take no exception of what runs inside them: they are left the same way whatever happened,
    so that nobody has to write `try` and `finally`.
    """
    return [_entered(getattr(service, name)) for name in lifespan_names(type(service))]


def _is_marked(value: object) -> bool:
    return getattr(value, _MARK, None) is True


def _is_context_manager(value: object) -> bool:
    """It is what @contextmanager or @asynccontextmanager made of a function."""
    return getattr(value, "__globals__", None) is vars(contextlib)


def _context_manager(name: str) -> str:
    return f"@lifespan on {name}: take @contextmanager away; @lifespan wants the generator function"


@asynccontextmanager
async def _entered(method: Callable[[], _Steps]) -> AsyncGenerator[None, None]:
    name = getattr(method, "__qualname__", repr(method))
    steps = method()
    yielded, cancelled = await _step(steps)
    if not yielded:
        raise cancelled or mistake(
            RuntimeError(
                f"@lifespan {name} did not yield; each way through it acquires, yields once, releases"
            )
        )
    try:
        if cancelled:
            raise cancelled
        yield
    finally:
        yielded, cancelled = await _step(steps)
        if yielded:
            await _close(steps)
            raise mistake(
                RuntimeError(
                    f"@lifespan {name} yielded more than once; what follows the first `yield` releases"
                )
            )
        if cancelled:
            raise cancelled


async def _step(steps: _Steps) -> tuple[bool, asyncio.CancelledError | None]:
    """Go to the next `yield`: whether there is one, and a cancellation that came meanwhile."""
    if isinstance(steps, AsyncGenerator):
        try:
            await anext(steps)
        except StopAsyncIteration:
            return False, None
        return True, None
    end = object()
    value, cancelled = await _in_thread(lambda: next(steps, end))
    return value is not end, cancelled


async def _close(steps: _Steps) -> None:
    if isinstance(steps, AsyncGenerator):
        await steps.aclose()
    else:
        await _in_thread(steps.close)


async def _in_thread(function: Callable[[], T]) -> tuple[T, asyncio.CancelledError | None]:
    """Run in a thread, with this context, to the end; a cancellation counts from there.

    Nobody can stop the thread. Left to itself it might acquire what nobody then releases.
    """
    loop = asyncio.get_running_loop()
    running = loop.run_in_executor(None, copy_context().run, function)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    try:
        return running.result(), cancelled
    except Exception as error:
        if cancelled:
            raise cancelled from error
        raise
