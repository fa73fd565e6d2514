"""The same clients for programs without an event loop: a loop in a thread, and a door to it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakSet

T = TypeVar("T")


class Portal:
    """An event loop in a thread of its own.

    with Portal() as portal:
        portal.wait(asyncio.sleep(0))

    Works in a notebook, whose own loop runs in the main thread.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
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
        if self._loop is not None and self._thread is not None:
            for generator in tuple(self._open):
                # Another thread may be in the middle of a step of it.
                with suppress(RuntimeError):
                    self.wait(_close(generator))
            self._loop.call_soon_threadsafe(self._leave.set)
            self._thread.join()
            self._loop = None

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return what it returns; Ctrl-C cancels it.

        Raises:
            RuntimeError: The portal is closed.
        """
        if self._loop is None or self._thread is threading.current_thread():
            coroutine.close()
            raise RuntimeError(
                "the loop is not running: use it inside its `with` block"
                if self._loop is None
                else "a blocking client can't be used on the loop's own thread; await the async one"
            )
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, generator: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """Step an async generator from this thread; leaving the loop closes it."""
        end = object()
        self._open.add(generator)

        async def step() -> Any:
            return await anext(generator, end)

        try:
            while (item := self.wait(step())) is not end:
                yield item
        finally:
            if self._loop is not None:
                self.wait(_close(generator))


async def _close(generator: AsyncGenerator[Any, None]) -> None:
    await generator.aclose()


class BlockingClient:
    """The base of every generated blocking client: one line per method over the async client."""

    def __init__(self, client: Any, portal: Portal) -> None:
        self._client = client
        self._portal = portal

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._portal.wait(coroutine)

    def _iterate(self, generator: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        return self._portal.iterate(generator)
