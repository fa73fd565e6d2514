"""The room that handlers have: so many asynchronous calls, so many threads."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from typing import Any, Final, Literal, TypeVar

from hsu_worker.errors import RpcError
from hsu_worker.serving.calls import Calls
from hsu_worker.wire.blocking import WAITED_FOR
from hsu_worker.wire.limits import Limits

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds for which a call may wait for a thread before the log says so.
PATIENCE: Final = 5.0


class Unlimited(asyncio.Semaphore):
    """What calls take of which there may be any number."""

    async def acquire(self) -> Literal[True]:
        """Take one, at once."""
        return True

    def release(self) -> None:
        """Give it back."""


class Slots:
    """What calls take, and Ping too, so that an answered Ping proves that calls are answered.

    Args:
        limits: How many there are.

        calls: What the log names when a call has waited for long.

        patience: Seconds until then.
    """

    def __init__(self, limits: Limits, calls: Calls, *, patience: float = PATIENCE) -> None:
        #: For handlers that are coroutines.
        self.concurrent = asyncio.Semaphore(limits.concurrent_calls)
        self._threads = limits.threads
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="hsu-call")
        self._taken = 0
        self._waited_for: set[asyncio.Future[Any]] = set()
        self._uses_threads = False
        self._calls = calls
        self._patience = patience
        self._told = False

    def use_threads(self) -> None:
        """Say that there are synchronous handlers, so that Ping goes through the pool as well."""
        self._uses_threads = True

    @property
    def full(self) -> bool:
        """A further call would have to wait."""
        return self.would_wait(in_thread=False) or self.would_wait(in_thread=True)

    def would_wait(self, *, in_thread: bool) -> bool:
        """Whether a further call of one sort would have to wait."""
        return self._taken >= self._threads if in_thread else self.concurrent.locked()

    async def probe(self) -> bool:
        """Take a slot of each sort and give it back; False, at once, when one is full."""
        if self.full:
            return False
        async with self.concurrent:
            if self._uses_threads:
                await self.run(Context(), _nothing)
        return True

    async def run(self, context: Context, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a thread of the pool, under `context`.

        A thread can't be stopped, so a cancelled caller still waits until the function has
        returned; one that has not begun never begins, and one that waits for a call of its own is
        told that nobody needs it.

        Raises:
            asyncio.CancelledError: The caller has been cancelled, or the slots have been closed.
        """
        future = self._pool.submit(context.run, _call, function, arguments)
        waiter = asyncio.wrap_future(future)
        waits: asyncio.TimerHandle | None = None
        if self.would_wait(in_thread=True):
            waits = asyncio.get_running_loop().call_later(self._patience, self._tell, future)
        self._taken += 1
        self._waited_for.add(waiter)
        try:
            cancelled = False
            while not waiter.done():
                try:
                    await asyncio.wait((waiter,))
                except asyncio.CancelledError:
                    cancelled = True
                    future.cancel()
                    if (waited_for := context.get(WAITED_FOR)) is not None:
                        waited_for.cancel()
            if cancelled:
                failure = None if waiter.cancelled() else waiter.exception()
                if failure is None or isinstance(failure, RpcError):
                    raise asyncio.CancelledError
            return waiter.result()
        finally:
            if waits is not None:
                waits.cancel()
            self._waited_for.discard(waiter)
            self._taken -= 1
            self._told = self._told and self.would_wait(in_thread=True)

    def _tell(self, future: "Future[Any]") -> None:
        """Say, once until a thread is free again, why a call still waits."""
        if future.running() or future.done() or self._told:
            return
        self._told = True
        log.warning(
            "a call has waited for %g s for a thread, of which there are %d; these came first: %s; "
            "look for a handler that does not end, or raise App(limits=Limits(threads=...))",
            self._patience,
            self._threads,
            self._calls.described(self._threads),
        )

    def close(self) -> None:
        """Let the threads end; nobody waits any more for those that still run a handler."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for waiter in self._waited_for:
            waiter.cancel()


def _nothing() -> None:
    pass


def _call(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    try:
        return function(*arguments)
    except StopIteration as stop:
        # A future can't hold StopIteration: whoever waits for it would wait for ever.
        raise RuntimeError("the handler raised StopIteration") from stop
