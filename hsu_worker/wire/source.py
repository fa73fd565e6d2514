"""What a caller gives as a stream of requests, for as many tries as it can be had again."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Sequence,
)
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

#: What a client accepts as a stream of requests: a list, a generator, an async generator.
RequestSource: TypeAlias = Iterable[T] | AsyncIterable[T]


class Source:
    """The requests of one call. A list can be had again; of all else only the first request.

    Args:
        requests: What the caller gave.

        encode: Makes the bytes to send of one request.
    """

    def __init__(self, requests: RequestSource[Any], encode: Callable[[Any], bytes]) -> None:
        self._encode = encode
        self._list = requests if isinstance(requests, Sequence) else None
        self._rest = aiter(requests) if isinstance(requests, AsyncIterable) else _step(requests)
        self._first: list[Any] = []
        self._taken = 0
        self._next: asyncio.Future[Any] | None = None

    @property
    def repeatable(self) -> bool:
        """All that was taken so far can be had again."""
        return self._list is not None or self._taken < 2

    async def from_the_first(self) -> AsyncGenerator[bytes, None]:
        """The requests, once more from the first; while `repeatable`."""
        if self._list is not None:
            for request in self._list:
                yield self._encode(request)
            return
        for request in self._first:
            yield self._encode(request)
        while True:
            try:
                request = await self._one_more()
            except StopAsyncIteration:
                return
            self._taken += 1
            self._first = [request] if self._taken == 1 else []
            yield self._encode(request)

    async def _one_more(self) -> Any:
        if not self.repeatable:
            return await anext(self._rest)
        # A try that ends while it waits for a request must not end the caller's generator.
        if self._next is None:
            self._next = asyncio.ensure_future(_one(self._rest))
        request = await asyncio.shield(self._next)
        self._next = None
        return request

    async def aclose(self) -> None:
        """Take no more, and let the caller's generator clean up."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait((self._next,))
            if not self._next.cancelled():
                self._next.exception()
        if isinstance(self._rest, AsyncGenerator):
            await self._rest.aclose()


async def _one(rest: AsyncIterator[Any]) -> Any:
    return await anext(rest)


async def _step(requests: Iterable[Any]) -> AsyncIterator[Any]:
    # A generator may read files or wait: it must not do so on the loop's thread.
    iterator = iter(requests)
    end = object()
    while (request := await asyncio.to_thread(next, iterator, end)) is not end:
        yield request
