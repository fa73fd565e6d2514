"""Requests: one of its bytes, and a stream of them as a handler iterates it."""

import asyncio
import concurrent.futures
from collections.abc import AsyncIterable, Callable
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.message import DecodeError, Message

from hsu_worker.errors import Cancelled, InvalidArgument
from hsu_worker.interface import Method, Requests, refuse_blocking
from hsu_worker.serving.calls import ServedCall
from hsu_worker.wire.status import error_info

MessageT = TypeVar("MessageT", bound=Message)


def parser(path: str, message: type[MessageT]) -> Callable[[bytes], MessageT]:
    """Makes a method's request of its bytes; raises `InvalidArgument` when they are none."""
    from_string = message.FromString
    wrong = f"the request of {path} is no {message.DESCRIPTOR.full_name}"

    def parse(body: bytes) -> MessageT:
        try:
            return from_string(body)
        except DecodeError:
            raise InvalidArgument(wrong, details=[error_info("MALFORMED_REQUEST")]) from None

    return parse


class _OnLoop(Requests[Message]):
    """Its requests come on the loop, and may also be taken in a thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()

    def __next__(self) -> Message:
        refuse_blocking(f"iterating the requests of {self._path}")
        step = self._step()
        try:
            future = asyncio.run_coroutine_threadsafe(step, self._loop)
        except RuntimeError:
            step.close()
            raise Cancelled("the worker has ended") from None
        try:
            request = future.result()
        except concurrent.futures.CancelledError:
            raise Cancelled("the caller has gone") from None
        if request is None:
            raise StopIteration
        return request

    async def _step(self) -> Message | None:
        return await anext(self, None)


class RequestStream(_OnLoop):
    """Reads from the call, for `async for` on the loop and for `for` in a thread."""

    def __init__(
        self,
        context: "grpc.aio.ServicerContext[Any, Any]",
        call: ServedCall,
        parse: Callable[[bytes], Message],
    ) -> None:
        super().__init__(call.method.path)
        self._context = context
        self._call = call
        self._parse = parse
        self._ended = False

    async def __anext__(self) -> Message:
        if self._ended:
            raise StopAsyncIteration
        body: Any = await self._context.read()
        if body is grpc.aio.EOF:
            # grpc.aio reports a caller that left, or whose time ran out, as the end of the stream,
            # and cancels the task a moment later. A handler that commits when the stream ends must
            # never take the one for the other. A second read comes back after the cancellation.
            await self._context.read()
            if self._call.cancelled:
                raise asyncio.CancelledError
            self._ended = True
            raise StopAsyncIteration
        return self._parse(body)


class PassedRequests(_OnLoop):
    """What an interceptor made of the requests."""

    def __init__(self, path: str, requests: AsyncIterable[Message]) -> None:
        super().__init__(path)
        self._requests = aiter(requests)

    @classmethod
    def of(cls, requests: AsyncIterable[Message], method: Method) -> Requests[Message]:
        """The requests as a handler takes them."""
        return requests if isinstance(requests, Requests) else cls(method.path, requests)

    async def __anext__(self) -> Message:
        return await anext(self._requests)
