"""One call of a method of which only the descriptor is known."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from google.protobuf.message import Message

from hsu_worker.interface import Method
from hsu_worker.wire.client import Client
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.metadata import Metadata
from hsu_worker.wire.sender import final_status


class Caller(Client):
    """Makes a call of any kind, and knows how it went.

    caller = Caller(connection)
    async for answer in caller.answers(method, [request], timeout=5):
        ...
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._began = time.monotonic()
        self._made: Any = None
        self.first: float | None = None
        """Seconds to the first answer."""
        self.count = 0
        """Answers so far."""

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    async def initial_metadata(self) -> Metadata:
        """What came before the first answer, or the end."""
        return () if self._made is None else tuple(iter(await self._made.initial_metadata() or ()))

    def trailers(self) -> Metadata:
        """What came after the last answer; empty until then."""
        if self._made is None or not self._made.done():
            return ()
        return tuple(iter(final_status(self._made).trailing_metadata() or ()))

    async def answers(
        self, method: Method, requests: Any, *, timeout: float | None, metadata: Metadata
    ) -> AsyncGenerator[Message, None]:
        """Make the call.

        Args:
            method: What to call.

            requests: One message, or a source of them for a method that takes a stream.

            timeout: Seconds; None: as long as it takes.

            metadata: What to send along.

        Raises:
            RpcError: It failed.
        """
        if method.server_streaming:
            stream = self._stream_stream if method.client_streaming else self._unary_stream
            async with aclosing(stream(method, requests, timeout, metadata)) as answers:
                async for answer in answers:
                    self._count()
                    yield answer
        else:
            call = self._stream_unary if method.client_streaming else self._unary_unary
            answer = await call(method, requests, timeout, metadata)
            self._count()
            yield answer

    def _count(self) -> None:
        self.count += 1
        if self.first is None:
            self.first = self.seconds

    def _call(
        self,
        lent: Connection,
        method: Method,
        deadline: float | None,
        metadata: Metadata,
        *body: bytes,
    ) -> Any:
        self._made = super()._call(lent, method, deadline, metadata, *body)
        return self._made
