"""The same clients for programs without an event loop: a loop in a thread, and a door to it."""

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakSet

T = TypeVar("T")

#: What the code of a call waits for in a thread; cancelled when nobody waits for the call any more.
WAITED_FOR: ContextVar[concurrent.futures.Future[Any] | None] = ContextVar(
    "hsu_waited_for", default=None
)


class Door:
    """The way to an event loop that runs in another thread.

    Args:
        loop: None: it is not open yet.

        thread: The one in which the loop runs.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        thread: threading.Thread | None = None,
    ) -> None:
        self._loop = loop
        self._thread = thread

    @classmethod
    def to_this_thread(cls) -> Self:
        """The door to the loop that runs here."""
        return cls(asyncio.get_running_loop(), threading.current_thread())

    @property
    def is_open(self) -> bool:
        """There is a loop behind it."""
        return self._loop is not None

    @property
    def leads_here(self) -> bool:
        """The loop behind it is the one that runs in this thread."""
        return self._loop is asyncio.get_running_loop()

    def close(self) -> None:
        """Let nobody through any more."""
        self._loop = None

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin to run a coroutine on the loop.

        Raises:
            RuntimeError: The door is closed, or this is the loop's own thread.
        """
        if self._loop is None or self._thread is threading.current_thread():
            coroutine.close()
            raise RuntimeError(
                "the loop is not running: use it inside its `with` block"
                if self._loop is None
                else "a blocking client can't be used on the loop's own thread; await the async one"
            )
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return what it returns; Ctrl-C cancels it.

        Raises:
            RuntimeError: The door is closed, or this is the loop's own thread.
        """
        future = self.submit(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, generator: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """Step an async generator from this thread; leaving the loop closes it."""
        end = object()

        async def step() -> Any:
            return await anext(generator, end)

        try:
            while (item := self.wait(step())) is not end:
                yield item
        finally:
            if self.is_open:
                self.submit(_close(generator)).result()


class Portal(Door):
    """An event loop in a thread of its own.

    with Portal() as portal:
        portal.wait(asyncio.sleep(0))

    Works in a notebook, whose own loop runs in the main thread.
    """

    def __init__(self) -> None:
        super().__init__()
        # Those that a caller has left half-way, and may never ask again.
        self._open: WeakSet[AsyncGenerator[Any, None]] = WeakSet()

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._run(started),), name="hsu-portal", daemon=True
        )
        self._thread.start()
        started.wait()
        return self

    async def _run(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._leave = asyncio.Event()
        started.set()
        await self._leave.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.is_open:
            assert self._loop is not None
            assert self._thread is not None
            for generator in tuple(self._open):
                # Another thread may be in the middle of a step of it.
                with suppress(RuntimeError):
                    self.wait(_close(generator))
            self._loop.call_soon_threadsafe(self._leave.set)
            self._thread.join()
            self.close()

    def iterate(self, generator: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """Step an async generator from this thread; leaving the loop, or the portal, closes it."""
        self._open.add(generator)
        return super().iterate(generator)


async def _close(generator: AsyncGenerator[Any, None]) -> None:
    await generator.aclose()


class BlockingClient:
    """The base of every generated blocking client: one line per method over the async client."""

    def __init__(self, client: Any, portal: Door) -> None:
        self._client = client
        self._portal = portal

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._portal.wait(coroutine)

    def _iterate(self, generator: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        return self._portal.iterate(generator)
